//! Shows one peer, and removes it.

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::web::Json;
use actix_web::{HttpRequest, HttpResponse, web};

use super::context::Api;
use super::errors::ApiError;
use super::peers::included;
use super::refusals::about;
use super::response::Pieces;
use super::sender::Sender;
use crate::protocol::{Limits, PeerId, PeersQuery, RequestError, UnregisterResponse};
use crate::server::model::Proof;
use crate::server::registry::RegistryError;

/// `GET /peers/{peerId}`
pub(crate) async fn show_peer(
    api: web::Data<Api>,
    request: HttpRequest,
    peer_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let peer_id = parse_id(&api, &peer_id)?;
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

/// `DELETE /peers/{peerId}`: the peer leaves at once. Only its key can do that.
pub(crate) async fn unregister_peer(
    api: web::Data<Api>,
    request: HttpRequest,
    sender: Sender,
    peer_id: web::Path<String>,
) -> Result<Json<UnregisterResponse>, ApiError> {
    let peer_id = parse_id(&api, &peer_id)?;
    let unregistered = match sender.proof_of(&peer_id)? {
        Proof::Proven => {
            api.registry
                .unregister(peer_id.clone(), Proof::Proven)
                .await
        }
        Proof::Unproven => Err(RegistryError::AuthenticationRequired),
    };
    let receipt = unregistered.map_err(|error| about(&request, peer_id.as_str(), error))?;
    Ok(Json(UnregisterResponse {
        success: true,
        peer_id,
        total_peers: receipt.total_peers as u64,
        receipt: api.receipt(&receipt),
    }))
}

/// The peer id in a path. It may be of any length: the peer may have registered under a higher limit
/// than today's.
fn parse_id(api: &Api, text: &str) -> Result<PeerId, ApiError> {
    let limits = Limits {
        peer_id_chars: usize::MAX,
        ..api.limits
    };
    PeerId::parse(text, "peerId", &limits)
        .map_err(|_| RequestError::invalid("peerId", &PeerId::form(&api.limits)).into())
}
