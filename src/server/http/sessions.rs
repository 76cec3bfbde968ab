//! Allocating TURN sessions, ending them, and reporting what they relayed.

use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder, web};

use super::body::JsonBody;
use super::context::Api;
use super::cost::cost_info;
use super::errors::ApiError;
use crate::clock::rfc3339;
use crate::protocol::{
    AllocateTurnRequest, AllocateTurnResponse, AllocatedTurnServer, AllocationRefusedResponse,
    HitLimit, ReleaseTurnRequest, ReleaseTurnResponse, ReportTurnUsageRequest,
    ReportTurnUsageResponse, SessionLimits,
};
use crate::server::policy::allocation::Refusal;
use crate::server::policy::credentials;
use crate::server::registry::{Allocation, CostStatus, GrantedSession, Reported};

/// `POST /allocate-turn`
pub(super) async fn allocate_turn(
    api: web::Data<Api>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let request = AllocateTurnRequest::parse(&body.0, &api.limits)?;
    let allocation = api.registry.allocate_turn(request).await?;
    Ok(match &allocation.result {
        Ok(granted) => granted_response(&api, granted, &allocation),
        Err(refusal) => refused_response(&api, *refusal, &allocation.cost),
    })
}

fn granted_response(api: &Api, granted: &GrantedSession, allocation: &Allocation) -> HttpResponse {
    let GrantedSession {
        session,
        duration_secs,
        offer,
    } = granted;
    let Allocation { receipt, cost, .. } = allocation;
    no_store(HttpResponse::Ok()).json(AllocateTurnResponse {
        success: true,
        peer_id: session.peer_id.clone(),
        session_id: session.session_id.to_string(),
        limits: SessionLimits {
            max_bandwidth_mbps: session.mbps,
            max_duration_seconds: *duration_secs,
            priority_level: session.tier.priority_level(),
        },
        cost_info: cost_info(api, cost),
        mode: cost.mode,
        turn_server: AllocatedTurnServer {
            peer_id: session.server_id.clone(),
            addresses: offer.addresses.clone(),
            port: offer.port,
        },
        expires_at: session.expires_at_ms,
        ice_servers: vec![credentials::ice_server(
            offer,
            &session.peer_id,
            session.expires_at_ms,
            api.turn_secrets.first(),
        )],
        cleaned_expired_peers: receipt.cleaned as u64,
        timestamp: rfc3339(receipt.last_seen_ms),
    })
}

fn refused_response(api: &Api, refusal: Refusal, cost: &CostStatus) -> HttpResponse {
    let code = refusal.code();
    // Whoever was refused together comes back apart.
    let base_secs = refusal.retry_after_secs();
    let retry_after = base_secs + rand::random_range(0..=base_secs / 10);
    let (name, allowed) = refusal.limit();
    let error = ApiError::Refused {
        refusal,
        mode: cost.mode,
    };
    let mut response = HttpResponse::build(error.status());
    response.insert_header((RETRY_AFTER, retry_after));
    no_store(response).json(AllocationRefusedResponse {
        success: false,
        error: error.to_string(),
        code,
        retry_after,
        suggestion: error.suggestion().unwrap_or_default().to_owned(),
        cost_info: cost_info(api, cost),
        mode: cost.mode,
        limit: HitLimit {
            name: name.to_owned(),
            allowed,
        },
    })
}

/// `POST /release-turn`
pub(super) async fn release_turn(
    api: web::Data<Api>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let request = ReleaseTurnRequest::parse(&body.0, &api.limits)?;
    let session_id = request.session_id.clone();
    let released = api.registry.release_turn(request).await?;
    let receipt = released.receipt;
    Ok(no_store(HttpResponse::Ok()).json(ReleaseTurnResponse {
        success: true,
        session_id,
        bytes_transferred: released.bytes,
        cleaned_expired_peers: receipt.cleaned as u64,
        timestamp: rfc3339(receipt.last_seen_ms),
    }))
}

/// `POST /report-turn-usage`
pub(super) async fn report_turn_usage(
    api: web::Data<Api>,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let request = ReportTurnUsageRequest::parse(&body.0, &api.limits)?;
    let Reported { receipt, usage } = api.registry.report_turn_usage(request).await?;
    Ok(no_store(HttpResponse::Ok()).json(ReportTurnUsageResponse {
        success: true,
        accepted: usage.accepted as u64,
        unknown: usage.unknown as u64,
        cleaned_expired_peers: receipt.cleaned as u64,
        timestamp: rfc3339(receipt.last_seen_ms),
    }))
}

/// Names of sessions are all it takes to end them, and credentials to be relayed.
fn no_store(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response.insert_header((CACHE_CONTROL, "no-store"));
    response
}
