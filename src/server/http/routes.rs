//! The paths and their handlers.

use actix_cors::Cors;
use actix_web::http::header::{ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{FromRequest, Handler, Resource, Responder, Route, guard, web};

use super::authentication::AUTHENTICATION_INFO;
use super::context::Api;
use super::errors::ApiError;
use super::{auth, cost, peer, peers, sessions, status, turn};
use crate::protocol::paths;

/// Configures the application.
pub(crate) fn app(app: &mut web::ServiceConfig, api: web::Data<Api>) {
    let has_operator = api.secrets.admin_token().is_some();
    app.app_data(api).configure(routes);
    if has_operator {
        app.configure(admin_routes);
    }
}

fn routes(app: &mut web::ServiceConfig) {
    let list_peers = get().to(peers::list_peers);
    app.service(post(paths::REGISTER, peers::register_peer))
        .service(post(paths::HEARTBEAT, peers::renew_lease))
        .service(post(
            paths::REGISTER_TURN_SERVER,
            turn::register_turn_server,
        ))
        .service(resource(paths::PEERS, "GET, HEAD").route(list_peers))
        .service(
            resource(paths::PEER, "GET, HEAD, DELETE")
                .route(get().to(peer::show_peer))
                .route(web::delete().to(peer::unregister_peer)),
        )
        .service(
            resource(paths::TURN_SERVERS, "GET, HEAD").route(get().to(turn::list_turn_servers)),
        )
        .service(post(paths::ALLOCATE_TURN, sessions::allocate_turn))
        .service(post(paths::RELEASE_TURN, sessions::release_turn))
        .service(post(paths::REPORT_TURN_USAGE, sessions::report_turn_usage))
        .service(resource(paths::COST_STATS, "GET, HEAD").route(get().to(cost::show_cost_stats)))
        .service(resource(paths::STATS, "GET, HEAD").route(get().to(status::show_stats)))
        .service(web::resource(paths::AUTH).route(web::to(auth::prove)))
        .service(resource(paths::PROTOCOLS, "GET, HEAD").route(get().to(auth::list_protocols)))
        .service(resource(paths::HEALTH, "GET, HEAD").route(get().to(status::show_health)))
        .default_service(web::to(|| async { ApiError::NoSuchPath.into_response() }));
}

/// The operator's paths. Without a configured token they do not exist.
fn admin_routes(app: &mut web::ServiceConfig) {
    let put = |path, route: Route| resource(path, "PUT").route(route);
    app.service(put(paths::ADMIN_PEER_TIER, web::put().to(cost::set_tier)))
        .service(put(paths::ADMIN_SPEND, web::put().to(cost::set_spend)))
        .service(put(paths::ADMIN_MODE, web::put().to(cost::set_mode)));
}

/// A resource that accepts only POST.
fn post<F, Args, R>(path: &str, handler: F) -> Resource
where
    F: Handler<Args, Output = R>,
    Args: FromRequest + 'static,
    R: Responder + 'static,
{
    resource(path, "POST").route(web::post().to(handler))
}

/// A route for GET and HEAD.
pub(crate) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A resource that responds to other methods than `allowed` with 405.
fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move {
        ApiError::WrongMethod { allowed }.into_response()
    }))
}

/// Web pages of any origin may use the registry, since it uses no cookies or other credentials of
/// the browser.
pub(crate) fn cors() -> Cors {
    Cors::default()
        .allow_any_origin()
        // Preflights allow any method; the resources refuse others than their own with a JSON error.
        .allow_any_method()
        .allow_any_header()
        .expose_headers([ETAG, RETRY_AFTER, WWW_AUTHENTICATE, AUTHENTICATION_INFO])
        .send_wildcard()
        // The response is the same for every origin.
        .disable_vary_header()
        .max_age(86_400)
}
