//! Registering, renewing and listing peers.

use std::io::Write;

use actix_web::http::header::{CACHE_CONTROL, ContentType, ETAG, IF_NONE_MATCH, VARY};
use actix_web::{HttpRequest, HttpResponse, web};

use super::Api;
use super::body::JsonBody;
use super::compression;
use super::errors::ApiError;
use super::query::Query;
use crate::clock::rfc3339;
use crate::protocol::{
    HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisterResponse, RequestError,
};
use crate::server::policy::privacy;
use crate::server::policy::selection::{Extent, PeerFilter};
use crate::server::registry::{Include, ListPeers, Membership, PeerListing, Peers};

/// `POST /register`
pub(super) async fn register_peer(
    api: web::Data<Api>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let request = RegisterRequest::parse(&body.0, &api.limits)?;
    let registration = privacy::admit(request, api.address_policy)?;
    let peer_id = registration.peer_id.clone();
    let accepted = api.registry.register(registration).await?;
    Ok(HttpResponse::Ok().json(RegisterResponse {
        success: true,
        peer_id,
        total_peers: accepted.total_peers as u64,
        cleaned_expired_peers: accepted.cleaned as u64,
        timestamp: rfc3339(accepted.last_seen_ms),
        last_seen: accepted.last_seen_ms,
        expires_at: accepted.expires_at_ms,
        heartbeat_interval_secs: api.heartbeat_interval_secs,
    }))
}

/// `POST /heartbeat`
pub(super) async fn renew_lease(
    api: web::Data<Api>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let HeartbeatRequest { peer_id } = HeartbeatRequest::parse(&body.0, &api.limits)?;
    let accepted = api.registry.renew(peer_id.clone()).await?;
    let answer = HeartbeatResponse {
        success: true,
        peer_id,
        last_seen: accepted.last_seen_ms,
        total_peers: accepted.total_peers as u64,
        cleaned_expired_peers: accepted.cleaned as u64,
        timestamp: rfc3339(accepted.last_seen_ms),
        expires_at: accepted.expires_at_ms,
        heartbeat_interval_secs: api.heartbeat_interval_secs,
    };
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(answer.to_json()))
}

/// `GET /peers`
pub(super) async fn list_peers(
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (mut query, include) = read_query(&api, request.query_string())?;
    query.known = known_memberships(&request);
    let is_sample = matches!(query.extent, Extent::Sample(_));
    let slot = api.listings.enter(request.conn_data()).await?;
    let peers = api.registry.list_peers(query).await?;
    // A cache may keep a page but has to ask whether it is still right; a sample kept is none.
    let caching = if is_sample { "no-store" } else { "no-cache" };
    let mut response = match &peers.listing {
        None => HttpResponse::NotModified(),
        Some(_) => HttpResponse::Ok(),
    };
    response
        .insert_header((ETAG, entity_tag(peers.membership)))
        .insert_header((CACHE_CONTROL, caching))
        .insert_header((VARY, "Accept-Encoding"));
    let Some(listing) = &peers.listing else {
        return Ok(response.finish());
    };
    let json = render(&peers, listing, include);
    response.content_type("application/json");
    Ok(compression::send(&request, response, json, slot).await)
}

fn read_query(api: &Api, text: &str) -> Result<(ListPeers, Include), RequestError> {
    let limits = &api.limits;
    let mut query = Query::parse(text)?;
    let limit = query.count("limit")?;
    let after = query.cursor("cursor")?;
    let extent = match (limit, after) {
        (Some(_), Some(_)) => {
            return Err(RequestError::invalid(
                "cursor",
                "left out with limit: limit draws a sample, cursor turns the pages of a listing",
            ));
        }
        (Some(count), None) => Extent::Sample(count),
        (None, after) => Extent::Page { after },
    };
    let include = Include {
        stores: query.flag("includeStores")?.unwrap_or(false),
        capabilities: query.flag("includeCapabilities")?.unwrap_or(false),
    };
    let filter = PeerFilter {
        turn_capable: query.flag("turnCapable")?,
        bootstrap_capable: query.flag("bootstrapCapable")?,
        network_id: query.text("networkId", limits.string_bytes)?,
        store: query.text("store", limits.store_bytes)?,
        version: query.text("version", limits.string_bytes)?,
        exclude: query.peer_id("exclude", limits)?,
    };
    let list = ListPeers {
        filter,
        extent,
        most: api.http.max_listed,
        known: Vec::new(),
    };
    Ok((list, include))
}

/// Writes a [`PeersResponse`](crate::protocol::PeersResponse), mostly by copying text.
fn render(peers: &Peers, listing: &PeerListing, include: Include) -> Vec<u8> {
    const TYPICAL_PEER_BYTES: usize = 448;
    let mut out = Vec::with_capacity(256 + listing.peers.len() * TYPICAL_PEER_BYTES);
    out.extend_from_slice(b"{\"peers\":[");
    for (at, peer) in listing.peers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        peer.write_json(&mut out, include);
    }
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "],\"total\":{},\"totalRegistered\":{},\"timestamp\":\"{}\",\"returned\":{},\"nextCursor\":",
        listing.total,
        peers.total_registered,
        rfc3339(peers.now_ms),
        listing.peers.len(),
    );
    let _ = match &listing.next_after {
        Some(cursor) => write!(out, "\"{cursor}\"}}"),
        None => write!(out, "null}}"),
    };
    out
}

fn entity_tag(membership: Membership) -> String {
    format!("W/\"{:x}-{:x}\"", membership.directory, membership.revision)
}

/// The states that the client says it has, by RFC 9110, section 13.1.2; other tags are ignored.
fn known_memberships(request: &HttpRequest) -> Vec<Membership> {
    let parse = |tag: &str| {
        let tag = tag.trim();
        let opaque = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        let (directory, revision) = opaque.split_once('-')?;
        Some(Membership {
            directory: u64::from_str_radix(directory, 16).ok()?,
            revision: u64::from_str_radix(revision, 16).ok()?,
        })
    };
    request
        .headers()
        .get_all(IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(parse)
        .collect()
}
