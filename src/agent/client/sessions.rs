//! The endpoints for relay capacity: request it, release it, and see what it costs.

use super::error::ClientError;
use super::registry_client::{RegistryClient, SMALL_BODY_BYTES};
use super::response::check_confirms;
use crate::protocol::{
    AllocateTurnRequest, AllocateTurnResponse, CostStatsResponse, ReleaseTurnRequest,
    ReleaseTurnResponse, ReportTurnUsageRequest, ReportTurnUsageResponse, paths,
};

impl RegistryClient {
    /// `POST /allocate-turn`: requests a TURN session, or renews one.
    ///
    /// # Errors
    /// See [`ClientError`]; the code of its body names the limit that was hit, and
    /// [`retry_after`](ClientError::retry_after) says when to try again.
    pub async fn allocate_turn(
        &self,
        request: &AllocateTurnRequest,
    ) -> Result<AllocateTurnResponse, ClientError> {
        let url = self.endpoint(paths::ALLOCATE_TURN);
        let response: AllocateTurnResponse = self.post(&url, request).await?;
        check_confirms(&url, response.success, &response.peer_id, &request.peer_id)?;
        Ok(response)
    }

    /// `POST /release-turn`: ends a TURN session early.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn release_turn(
        &self,
        request: &ReleaseTurnRequest,
    ) -> Result<ReleaseTurnResponse, ClientError> {
        self.post(&self.endpoint(paths::RELEASE_TURN), request)
            .await
    }

    /// `POST /report-turn-usage`: a TURN server reports what its sessions relayed, in bytes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report_turn_usage(
        &self,
        request: &ReportTurnUsageRequest,
    ) -> Result<ReportTurnUsageResponse, ClientError> {
        let url = self.endpoint(paths::REPORT_TURN_USAGE);
        self.post(&url, request).await
    }

    /// `GET /cost-stats`: what relaying costs, and how close the registry is to its limits.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cost_stats(&self) -> Result<CostStatsResponse, ClientError> {
        let url = self.endpoint(paths::COST_STATS);
        self.get(&url, SMALL_BODY_BYTES).await
    }
}
