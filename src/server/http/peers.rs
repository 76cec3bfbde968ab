//! Registering, renewing and listing peers.

use std::hash::{DefaultHasher, Hash, Hasher};

use actix_web::http::header::{
    CACHE_CONTROL, ContentType, ETag, EntityTag, Header, IfNoneMatch, VARY,
};
use actix_web::web::Json;
use actix_web::{HttpRequest, HttpResponse, web};

use super::address_block::AddressBlock;
use super::body::Body;
use super::compression;
use super::context::Api;
use super::errors::ApiError;
use super::refusals::about;
use super::response::LongBody;
use super::sender::Sender;
use crate::clock::rfc3339;
use crate::protocol::{
    Announced, HeartbeatRequest, HeartbeatResponse, Limits, PeerId, PeersQuery, RegisterRequest,
    RegisterResponse, RequestError,
};
use crate::server::model::Proof;
use crate::server::policy::selection::{Extent, PageStart};
use crate::server::policy::{identity, privacy};
use crate::server::registry::{
    Bounds, Include, ListPeers, ListedEntry, Membership, Noted, PeerListing, Peers, Renewed,
};

/// The maximum memory that a listing keeps until it has been sent, in bytes.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// The maximum length of a page, and the memory that it keeps, while the memory for all listings is used
/// up, in bytes.
const SHORT_PAGE_BYTES: usize = 64 << 10;

/// `POST /register`
pub(crate) async fn register_peer(
    api: web::Data<Api>,
    request: HttpRequest,
    sender: Sender,
    body: Body<Announced<RegisterRequest>>,
) -> Result<Json<RegisterResponse>, ApiError> {
    let mut announced = body.request;
    let peer_id = announced.request.peer_id.clone();
    let proof = sender.proof_of(&peer_id)?;
    let bound = match sender.proven() {
        Some(proven) => {
            identity::bind_crypto_ipv6(&mut announced.request, proven.names.crypto_ipv6())
        }
        None => Ok(()),
    };
    let admitted = bound.and_then(|()| privacy::admit(announced, api.address_rules));
    let (mut registration, dropped) =
        admitted.map_err(|error| about(&request, peer_id.as_str(), error))?;
    registration.profile.authenticated = proof == Proof::Proven;
    let renewed = api.registry.register(registration, proof).await;
    let Renewed { receipt, noted } =
        renewed.map_err(|error| about(&request, peer_id.as_str(), error))?;
    Ok(Json(RegisterResponse {
        success: true,
        peer_id,
        total_peers: receipt.total_peers as u64,
        receipt: api.receipt(&receipt),
        last_seen: api.wall_time.of(receipt.last_seen_ms),
        expires_at: api.wall_time.of(receipt.expires_at_ms),
        heartbeat_interval_secs: api.heartbeat_interval_secs,
        registration_digest: Some(digest_text(&noted)),
        warning: warning(&noted),
        dropped: dropped.into_list(),
    }))
}

/// `POST /heartbeat`
pub(crate) async fn renew_lease(
    api: web::Data<Api>,
    request: HttpRequest,
    sender: Sender,
    body: Body<HeartbeatRequest>,
) -> Result<HttpResponse, ApiError> {
    let peer_id = body.request.peer_id.clone();
    let proof = sender.proof_of(&peer_id)?;
    let renewed = api.registry.renew(body.request, proof).await;
    let Renewed { receipt, noted } =
        renewed.map_err(|error| about(&request, peer_id.as_str(), error))?;
    let response = HeartbeatResponse {
        success: true,
        peer_id,
        last_seen: api.wall_time.of(receipt.last_seen_ms),
        total_peers: receipt.total_peers as u64,
        receipt: api.receipt(&receipt),
        expires_at: api.wall_time.of(receipt.expires_at_ms),
        heartbeat_interval_secs: api.heartbeat_interval_secs,
        registration_digest: Some(digest_text(&noted)),
        warning: warning(&noted),
    };
    // Serialized without serde: heartbeats are most of the load.
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(response.to_json()))
}

/// The digest of a registration on the wire.
pub(crate) fn digest_text(noted: &Noted) -> String {
    format!("{:016x}", noted.digest)
}

/// What both of two nodes with one key are told.
pub(crate) fn warning(noted: &Noted) -> Option<String> {
    const ALTERNATES: &str = "registrations with this peerId alternate: another node may use the \
        same key, or this node changes its announcement back and forth";
    noted.alternates.then(|| ALTERNATES.to_owned())
}

/// `GET /peers`
pub(crate) async fn list_peers(
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = read_query(&api, &request)?;
    let if_none_match = IfNoneMatch::parse(&request).ok();
    let is_sample = matches!(query.extent, Extent::Sample(_));
    // A reader that asks for a sample wants a new one, not the news that nobody joined.
    if !is_sample {
        query.known = known_memberships(if_none_match.as_ref());
    }
    let slot = api.enter_listing(&request).await?;
    // The listed peers are kept until the response has been sent, even if they are replaced
    // meanwhile. While slow clients use all memory for that, pages are short.
    let mut kept = api.kept_by_listings.charge();
    if kept.raise_to(MAX_KEPT_BYTES).is_err() {
        query.bounds.max_bytes = query.bounds.max_bytes.min(SHORT_PAGE_BYTES);
        query.bounds.max_kept_bytes = SHORT_PAGE_BYTES;
    }
    let mut peers = api.registry.list_peers(&query).await?;
    if if_none_match == Some(IfNoneMatch::Any) && !is_sample {
        // RFC 9110 §13.1.2: `*` matches any current representation, and a listing always exists.
        peers.listing = None;
    }
    // A cache may store a page but must revalidate it. A stored sample would not be random.
    let caching = if is_sample { "no-store" } else { "no-cache" };
    let mut response = match &peers.listing {
        None => HttpResponse::NotModified(),
        Some(_) => HttpResponse::Ok(),
    };
    response
        .insert_header(ETag(entity_tag(peers.membership)))
        .insert_header((CACHE_CONTROL, caching))
        .insert_header((VARY, "Accept-Encoding"));
    let Peers {
        listing,
        total_registered,
        now_ms,
        ..
    } = peers;
    let Some(listing) = listing else {
        return Ok(response.finish());
    };
    kept.lower_to(listing.kept_bytes);
    response.content_type("application/json");
    let body = Listing::new(listing, total_registered, now_ms, query.include);
    Ok(compression::send(&api, &request, response, body, (slot, kept)).await)
}

fn read_query(api: &Api, request: &HttpRequest) -> Result<ListPeers, RequestError> {
    let query = PeersQuery::parse(request.query_string(), &api.limits)?;
    let include = included(&query);
    let reader = caller_of(request);
    let extent = match (query.limit, query.cursor) {
        (Some(count), _) => Extent::Sample(count as usize),
        (None, Some(cursor)) => Extent::Page(page_after(&cursor)?),
        (None, None) => Extent::Page(PageStart::Drawn(reader)),
    };
    Ok(ListPeers {
        filter: query.filter,
        reader,
        extent,
        include,
        bounds: Bounds {
            max_peers: api.http.max_listed,
            max_bytes: api.http.max_response_bytes,
            max_kept_bytes: MAX_KEPT_BYTES,
        },
        known: Vec::new(),
    })
}

/// Which of the long optional members a response includes.
pub(crate) fn included(query: &PeersQuery) -> Include {
    Include {
        stores: query.include_stores,
        capabilities: query.include_capabilities,
    }
}

/// Reads where the previous page ended from its cursor: a peer id, and after `~` the id where the
/// first page began.
fn page_after(cursor: &str) -> Result<PageStart, RequestError> {
    // Of any length: the peer may have registered under a higher limit than today's.
    let limits = Limits {
        peer_id_chars: usize::MAX,
        ..Limits::default()
    };
    let (last, first) = match cursor.split_once('~') {
        Some((last, first)) => (last, Some(first)),
        None => (cursor, None),
    };
    let mut ids = [last].into_iter().chain(first);
    if !ids.all(|id| PeerId::is_well_formed(id, &limits)) {
        let form = "the nextCursor of the page before";
        return Err(RequestError::invalid("cursor", form));
    }
    Ok(PageStart::After {
        last: last.to_owned(),
        first: first.map(str::to_owned),
    })
}

/// A [`PeersResponse`](crate::protocol::PeersResponse) that is serialized while its client receives
/// it, mostly by copying JSON.
struct Listing {
    peers: std::vec::IntoIter<ListedEntry>,
    include: Include,
    /// The JSON before the next peer.
    separator: &'static [u8],
    /// The JSON after the last peer; empty once it was written.
    tail: Vec<u8>,
    total_bytes: usize,
}

impl Listing {
    fn new(listing: PeerListing, total_registered: usize, now_ms: i64, include: Include) -> Self {
        const BEGIN: &[u8] = b"{\"peers\":[";
        let next = match &listing.next {
            Some(start) => format!("\"{}\"", cursor_of(start)),
            None => "null".to_owned(),
        };
        let tail = format!(
            "],\"total\":{},\"totalRegistered\":{total_registered},\"timestamp\":\"{}\",\
             \"returned\":{},\"nextCursor\":{next}}}",
            listing.total,
            rfc3339(now_ms),
            listing.peers.len(),
        );
        let commas = listing.peers.len().saturating_sub(1);
        Self {
            total_bytes: BEGIN.len() + listing.json_bytes + commas + tail.len(),
            peers: listing.peers.into_iter(),
            include,
            separator: BEGIN,
            tail: tail.into_bytes(),
        }
    }
}

impl LongBody for Listing {
    fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let peer = self.peers.next();
        // Only the beginning of the listing is longer than a comma.
        let is_first = self.separator.len() > 1;
        if peer.is_some() || is_first {
            out.extend_from_slice(self.separator);
        }
        self.separator = b",";
        match peer {
            Some(peer) => peer.write_json(out, self.include),
            None => out.append(&mut self.tail),
        }
        !self.tail.is_empty()
    }
}

/// The `cursor` of a page.
fn cursor_of(start: &PageStart) -> String {
    match start {
        PageStart::Drawn(_) => String::new(),
        PageStart::After { last, first: None } => last.clone(),
        PageStart::After {
            last,
            first: Some(first),
        } => format!("{last}~{first}"),
    }
}

/// A number that differs between clients, so that each gets a different first page: a hash of the
/// address of the connection and, if that is probably a proxy, of the client's address in the header
/// that the proxy has added.
fn caller_of(request: &HttpRequest) -> u64 {
    let address = request.peer_addr().map(|address| address.ip());
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    // A proxy most likely has a private address. The last address in the header is the one that
    // the proxy itself added; a client can write anything before it.
    if address.is_some_and(|address| AddressBlock::of(address).is_none()) {
        let headers = request.headers();
        let seen = ["X-Forwarded-For", "X-Real-IP", "Forwarded"]
            .iter()
            .find_map(|name| headers.get_all(*name).next_back());
        let seen = seen.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        seen.map(str::trim).hash(&mut hasher);
    }
    hasher.finish()
}

fn entity_tag(membership: Membership) -> EntityTag {
    let Membership {
        directory,
        revision,
        draw,
    } = membership;
    // Weak, since leases in the listing change without a new tag.
    EntityTag::new_weak(format!("{directory:x}-{revision:x}-{draw:x}"))
}

/// The states of the membership that the client has listings of. Tags of any other form are ignored.
fn known_memberships(if_none_match: Option<&IfNoneMatch>) -> Vec<Membership> {
    let parse = |tag: &EntityTag| {
        let mut numbers = tag.tag().split('-').map(|hex| u64::from_str_radix(hex, 16));
        let mut next = || numbers.next()?.ok();
        Some(Membership {
            directory: next()?,
            revision: next()?,
            draw: next()?,
        })
    };
    match if_none_match {
        Some(IfNoneMatch::Items(tags)) => tags.iter().filter_map(parse).collect(),
        Some(IfNoneMatch::Any) | None => Vec::new(),
    }
}
