//! Relay capacity: asking for it, giving it back, and what it costs.

use super::{ClientError, RegistryClient, SMALL_BODY_BYTES, check_names};
use crate::protocol::{
    AllocateTurnRequest, AllocateTurnResponse, CostStatsResponse, ReleaseTurnRequest,
    ReleaseTurnResponse, ReportTurnUsageRequest, ReportTurnUsageResponse,
};

impl RegistryClient {
    /// `POST /allocate-turn`: asks for a TURN session, or renews one.
    ///
    /// # Errors
    /// See [`ClientError`]; the code of its body says which limit was hit, and
    /// [`retry_after`](ClientError::retry_after) when to ask again.
    pub async fn allocate_turn(
        &self,
        request: &AllocateTurnRequest,
    ) -> Result<AllocateTurnResponse, ClientError> {
        let url = self.endpoint("allocate-turn");
        let answer: AllocateTurnResponse = self.post(&url, request).await?;
        check_names(&url, answer.success, &answer.peer_id, &request.peer_id)?;
        Ok(answer)
    }

    /// `POST /release-turn`: ends a TURN session early.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn release_turn(
        &self,
        request: &ReleaseTurnRequest,
    ) -> Result<ReleaseTurnResponse, ClientError> {
        self.post(&self.endpoint("release-turn"), request).await
    }

    /// `POST /report-turn-usage`: a TURN server tells what its sessions relayed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report_turn_usage(
        &self,
        request: &ReportTurnUsageRequest,
    ) -> Result<ReportTurnUsageResponse, ClientError> {
        let url = self.endpoint("report-turn-usage");
        self.post(&url, request).await
    }

    /// `GET /cost-stats`: what relaying costs, and how tight the registry is.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cost_stats(&self) -> Result<CostStatsResponse, ClientError> {
        let url = self.endpoint("cost-stats");
        self.get(&url, SMALL_BODY_BYTES).await
    }
}
