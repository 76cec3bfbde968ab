//! Allocating and releasing TURN sessions, and reporting their usage.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};

use super::allocation_refusals::parts_of;
use super::body::Body;
use super::context::Api;
use super::cost::cost_info;
use super::errors::{ApiError, row_of};
use super::no_store::NoStore;
use super::refusals::{Refused, about};
use crate::protocol::{
    AllocateTurnRequest, AllocateTurnResponse, AllocatedTurnServer, AllocationRefusedResponse,
    HitLimit, ReleaseTurnRequest, ReleaseTurnResponse, ReportTurnUsageRequest,
    ReportTurnUsageResponse, SessionLimits,
};
use crate::server::policy::allocation::Refusal;
use crate::server::policy::credentials;
use crate::server::registry::{Allocation, CostStatus, GrantedSession, RegistryError, Reported};

/// Why a session was not allocated.
#[derive(Debug)]
pub(crate) enum AllocationError {
    /// An error that other requests can get as well.
    Api(ApiError),
    /// A limit does not allow the session.
    Refused(Box<AllocationRefusedResponse>),
}

/// `POST /allocate-turn`
pub(crate) async fn allocate_turn(
    api: web::Data<Api>,
    request: HttpRequest,
    body: Body<AllocateTurnRequest>,
) -> Result<NoStore<AllocateTurnResponse>, AllocationError> {
    let peer_id = body.request.peer_id.to_string();
    let Allocation {
        receipt,
        cost,
        result,
    } = match api.registry.allocate_turn(body.request).await {
        Ok(allocation) => allocation,
        Err(error) => return Err(about(&request, peer_id, error).into()),
    };
    let granted =
        result.map_err(|refusal| about(&request, peer_id, refused(&api, refusal, &cost)))?;
    let GrantedSession {
        session,
        duration_secs,
        offer,
    } = *granted;
    let expires_at_ms = api.wall_time.of(session.expires_at_ms);
    let credentials = credentials::ice_server(
        &offer,
        &session.peer_id,
        expires_at_ms,
        api.secrets.signing().as_ref(),
    );
    Ok(NoStore(AllocateTurnResponse {
        success: true,
        peer_id: session.peer_id,
        session_id: session.session_id.to_string(),
        limits: SessionLimits {
            max_bandwidth_mbps: session.mbps,
            max_duration_seconds: duration_secs,
            priority_level: session.tier.to_string(),
            priority: Some(session.tier.priority_level()),
        },
        cost_info: cost_info(&api, &cost),
        mode: cost.mode,
        turn_server: AllocatedTurnServer {
            peer_id: session.server_id,
            addresses: offer.addresses,
            port: offer.port,
        },
        expires_at: expires_at_ms,
        ice_servers: vec![credentials],
        receipt: api.receipt(&receipt),
    }))
}

fn refused(api: &Api, refusal: Refusal, cost: &CostStatus) -> AllocationError {
    let code = refusal.code();
    let parts = parts_of(refusal, cost.mode);
    // Up to a tenth longer at random, so that peers which were refused at the same time do not
    // retry at the same time.
    let base_secs = parts.retry_after_secs;
    let retry_after = base_secs + rand::random_range(0..=base_secs / 10);
    AllocationError::Refused(Box::new(AllocationRefusedResponse {
        success: false,
        error: parts.message,
        code,
        retry_after,
        suggestion: row_of(code).suggestion.unwrap_or_default().to_owned(),
        cost_info: cost_info(api, cost),
        mode: cost.mode,
        limit: HitLimit {
            name: parts.limit.to_owned(),
            allowed: parts.allowed,
        },
    }))
}

impl From<RegistryError> for AllocationError {
    fn from(error: RegistryError) -> Self {
        Self::Api(error.into())
    }
}

impl fmt::Display for AllocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::Refused(response) => f.write_str(&response.error),
        }
    }
}

impl ResponseError for AllocationError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Api(error) => error.status_code(),
            Self::Refused(response) => row_of(response.code).status,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Api(error) => error.error_response(),
            Self::Refused(refused) => {
                let mut response = HttpResponse::build(self.status_code())
                    .insert_header((RETRY_AFTER, refused.retry_after))
                    .insert_header((CACHE_CONTROL, "no-store"))
                    .json(refused);
                response.extensions_mut().insert(Refused {
                    code: refused.code,
                    message: refused.error.clone(),
                });
                response
            }
        }
    }
}

/// `POST /release-turn`
pub(crate) async fn release_turn(
    api: web::Data<Api>,
    request: HttpRequest,
    body: Body<ReleaseTurnRequest>,
) -> Result<NoStore<ReleaseTurnResponse>, ApiError> {
    let session_id = body.request.session_id.clone();
    let peer_id = body.request.peer_id.to_string();
    let released = api.registry.release_turn(body.request).await;
    let released = released.map_err(|error| about(&request, peer_id, error))?;
    let receipt = released.receipt;
    Ok(NoStore(ReleaseTurnResponse {
        success: true,
        session_id,
        bytes_transferred: released.bytes,
        receipt: api.receipt(&receipt),
    }))
}

/// `POST /report-turn-usage`
pub(crate) async fn report_turn_usage(
    api: web::Data<Api>,
    body: Body<ReportTurnUsageRequest>,
) -> Result<NoStore<ReportTurnUsageResponse>, ApiError> {
    let Reported { receipt, usage } = api.registry.report_turn_usage(body.request).await?;
    Ok(NoStore(ReportTurnUsageResponse {
        success: true,
        accepted: usage.accepted as u64,
        unknown: usage.unknown as u64,
        receipt: api.receipt(&receipt),
    }))
}
