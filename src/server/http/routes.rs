//! The paths, and the handlers behind them.

use actix_cors::Cors;
use actix_web::http::header::{ETAG, RETRY_AFTER};
use actix_web::{Handler, Resource, Responder, Route, guard, web};

use super::body::JsonBody;
use super::context::Api;
use super::errors::ApiError;
use super::{cost, peers, sessions, status, turn};

/// All that is served.
pub(super) fn app(app: &mut web::ServiceConfig, api: web::Data<Api>) {
    let has_operator = api.admin_token.is_some();
    app.app_data(api).configure(routes);
    if has_operator {
        app.configure(admin_routes);
    }
}

fn routes(app: &mut web::ServiceConfig) {
    let list_peers = get().to(peers::list_peers);
    app.service(post("/register", peers::register_peer))
        .service(post("/heartbeat", peers::renew_lease))
        .service(post("/register-turn-server", turn::register_turn_server))
        .service(resource("/peers", "GET, HEAD").route(list_peers))
        .service(resource("/turn-servers", "GET, HEAD").route(get().to(turn::list_turn_servers)))
        .service(post("/allocate-turn", sessions::allocate_turn))
        .service(post("/release-turn", sessions::release_turn))
        .service(post("/report-turn-usage", sessions::report_turn_usage))
        .service(resource("/cost-stats", "GET, HEAD").route(get().to(cost::show_cost_stats)))
        .service(resource("/stats", "GET, HEAD").route(get().to(status::show_stats)))
        .service(resource("/health", "GET, HEAD").route(get().to(status::show_health)))
        .default_service(web::to(|| async { ApiError::NoSuchPath.into_response() }));
}

/// What the operator may do. Without a token these paths do not exist.
fn admin_routes(app: &mut web::ServiceConfig) {
    let put = |path, route: Route| resource(path, "PUT").route(route);
    let tier = "/admin/peers/{peerId}/tier";
    app.service(put(tier, web::put().to(cost::set_tier)))
        .service(put("/admin/spend", web::put().to(cost::set_spend)))
        .service(put("/admin/mode", web::put().to(cost::set_mode)));
}

/// A resource that takes a body by POST.
fn post<F, R>(path: &str, handler: F) -> Resource
where
    F: Handler<(web::Data<Api>, JsonBody), Output = R>,
    R: Responder + 'static,
{
    resource(path, "POST").route(web::post().to(handler))
}

pub(super) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A resource that answers any method but its own with the ones it allows.
fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move {
        ApiError::WrongMethod { allowed }.into_response()
    }))
}

/// Web pages of any origin may use the registry; it knows no cookies and sends no credentials.
pub(super) fn cors() -> Cors {
    Cors::default()
        .allow_any_origin()
        // Any method may be asked about; the resources say which they take, in the one error shape.
        .allow_any_method()
        .allow_any_header()
        .expose_headers([ETAG, RETRY_AFTER])
        .send_wildcard()
        // The answer is the same whatever the origin.
        .disable_vary_header()
        .max_age(86_400)
}
