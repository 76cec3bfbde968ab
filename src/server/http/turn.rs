//! Registering and listing TURN servers.

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::web::Json;
use actix_web::{HttpRequest, HttpResponse, web};

use super::body::Body;
use super::context::Api;
use super::errors::ApiError;
use super::peers::{digest_text, warning};
use super::refusals::about;
use super::response::Pieces;
use super::sender::Sender;
use crate::protocol::{
    Announced, ListedTurnServer, RegisterTurnServerRequest, RegisterTurnServerResponse,
    TurnServersResponse,
};
use crate::server::policy::turn;
use crate::server::registry::Renewed;

/// `POST /register-turn-server`
pub(crate) async fn register_turn_server(
    api: web::Data<Api>,
    http_request: HttpRequest,
    sender: Sender,
    body: Body<Announced<RegisterTurnServerRequest>>,
) -> Result<Json<RegisterTurnServerResponse>, ApiError> {
    let Announced {
        request,
        turn_positions,
        mut dropped,
        ..
    } = body.request;
    let RegisterTurnServerRequest { peer_id, offer } = request;
    let offer = turn::require_offer(offer, &turn_positions, api.address_rules, &mut dropped)
        .map_err(|error| about(&http_request, peer_id.as_str(), error))?;
    let proof = sender.proof_of(&peer_id)?;
    let request = RegisterTurnServerRequest {
        peer_id: peer_id.clone(),
        offer,
    };
    let renewed = api.registry.register_turn_server(request, proof).await;
    let Renewed { receipt, noted } =
        renewed.map_err(|error| about(&http_request, peer_id.as_str(), error))?;
    Ok(Json(RegisterTurnServerResponse {
        success: true,
        peer_id,
        turn_servers: receipt.turn_servers as u64,
        registration_digest: Some(digest_text(&noted)),
        receipt: api.receipt(&receipt),
        warning: warning(&noted),
        dropped: dropped.into_list(),
    }))
}

/// `GET /turn-servers`
pub(crate) async fn list_turn_servers(
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let slot = api.enter_listing(&request).await?;
    let listing = api.registry.list_turn_servers(api.http.max_listed).await?;
    let mut left_bytes = api.http.max_response_bytes;
    let servers = listing
        .servers
        .iter()
        .filter_map(|(load, peer)| {
            let offer = peer.turn()?;
            Some(ListedTurnServer {
                peer_id: peer.peer_id().clone(),
                turn_addresses: offer.addresses.clone(),
                turn_port: offer.port,
                turn_capacity: offer.capacity,
                current_load: *load,
                last_seen: peer.last_seen_ms(),
            })
        })
        // The list is sorted by load, so the most loaded servers are left out if not all fit.
        .take_while(|server| {
            let bytes = estimate_bytes(server);
            let fits = bytes <= left_bytes;
            left_bytes = left_bytes.saturating_sub(bytes);
            fits
        })
        .collect();
    let response = TurnServersResponse {
        servers,
        total: listing.total as u64,
        timestamp: api.wall_time.text(listing.now_ms),
    };
    // Cannot fail: the response has no maps with keys that are not strings.
    let json = serde_json::to_vec(&response).unwrap_or_default();
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type(ContentType::json())
        .body(Pieces::from_bytes(json.into(), slot)))
}

/// The approximate length of a server in JSON, in bytes.
fn estimate_bytes(server: &ListedTurnServer) -> usize {
    /// The field names and the numbers.
    const FIXED_BYTES: usize = 192;
    let addresses = server.turn_addresses.iter();
    let address_bytes: usize = addresses.map(|address| address.len() + "\"\",".len()).sum();
    FIXED_BYTES + server.peer_id.as_str().len() + address_bytes
}
