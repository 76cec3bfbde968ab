//! Shows one peer.

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};

use super::context::Api;
use super::errors::ApiError;
use super::peers::included;
use super::refusals::about;
use super::response::Pieces;
use crate::protocol::{Limits, PeerId, PeersQuery, RequestError};
use crate::server::registry::RegistryError;

/// `GET /peers/{peerId}`
pub(crate) async fn show_peer(
    api: web::Data<Api>,
    request: HttpRequest,
    peer_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    // Of any length: the peer may have registered under a higher limit than today's.
    let limits = Limits {
        peer_id_chars: usize::MAX,
        ..api.limits
    };
    let peer_id = PeerId::parse(&peer_id, "peerId", &limits)
        .map_err(|_| RequestError::invalid("peerId", &PeerId::form(&api.limits)))?;
    let query = PeersQuery::parse(request.query_string(), &api.limits)?;
    let include = included(&query);
    let slot = api.enter_listing(&request).await?;
    let found = api.registry.find_peer(&peer_id, include).await?;
    let peer = found
        .peer
        .ok_or_else(|| about(&request, peer_id.as_str(), RegistryError::UnknownPeer))?;
    // The text of a `PeerResponse`, mostly copied.
    let mut json = b"{\"peer\":".to_vec();
    peer.write_json(&mut json, include);
    json.extend_from_slice(
        format!(",\"timestamp\":\"{}\"}}", api.wall_time.text(found.now_ms)).as_bytes(),
    );
    let mut kept = api.kept_by_listings.charge();
    kept.raise_to(json.len())
        .map_err(|_| RegistryError::Overloaded)?;
    Ok(HttpResponse::Ok()
        // The next heartbeat of the peer changes it.
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type(ContentType::json())
        .body(Pieces::from_bytes(json.into(), (slot, kept))))
}
