//! The cost of relaying, and the operator's settings for it.

use std::collections::BTreeMap;

use actix_web::web;

use super::body::Body;
use super::context::Api;
use super::errors::ApiError;
use super::no_store::NoStore;
use super::operator::Operator;
use crate::clock::rfc3339;
use crate::protocol::{
    AdminResponse, AllocationStats, CostInfo, CostMetrics, CostMode, CostStatsResponse,
    HealthCostInfo, ModeStats, PeerId, RequestError, SessionStats, SetModeRequest, SetSpendRequest,
    SetTierRequest, SpendSource, Tier,
};
use crate::server::policy::cost::Month;
use crate::server::registry::{CostStatus, SettingSaved, Status};

/// `PUT /admin/peers/{peerId}/tier`
pub(crate) async fn set_tier(
    _: Operator,
    api: web::Data<Api>,
    peer_id: web::Path<String>,
    body: Body<SetTierRequest>,
) -> Result<NoStore<AdminResponse>, ApiError> {
    let peer_id = PeerId::parse(&peer_id, "peerId", &api.limits)?;
    let tier = body.request.tier;
    Ok(saved(&api, api.registry.set_tier(peer_id, tier).await?))
}

/// `PUT /admin/spend`
pub(crate) async fn set_spend(
    _: Operator,
    api: web::Data<Api>,
    body: Body<SetSpendRequest>,
) -> Result<NoStore<AdminResponse>, ApiError> {
    let bill = body.request;
    // A bill replaces the one before it, so an older one must not be saved.
    let Status { now_ms, cost, .. } = api.registry.status().await?;
    let latest_ms = cost.bill.map_or(i64::MIN, |bill| bill.as_of_ms);
    if !Month::of(now_ms).holds(bill.as_of) || !(latest_ms..=now_ms).contains(&bill.as_of) {
        let form = "a time in this month, in UTC, not in the future and not before the last bill";
        return Err(RequestError::invalid("asOf", form).into());
    }
    Ok(saved(&api, api.registry.set_spend(bill).await?))
}

/// `PUT /admin/mode`
pub(crate) async fn set_mode(
    _: Operator,
    api: web::Data<Api>,
    body: Body<SetModeRequest>,
) -> Result<NoStore<AdminResponse>, ApiError> {
    let request = body.request;
    let now_ms = api.registry.status().await?.now_ms;
    if request
        .forced
        .is_some_and(|(_, until_ms)| until_ms <= now_ms)
    {
        return Err(RequestError::invalid("until", "a time in the future").into());
    }
    Ok(saved(&api, api.registry.set_mode(request).await?))
}

fn saved(api: &Api, saved: SettingSaved) -> NoStore<AdminResponse> {
    NoStore(AdminResponse {
        success: true,
        mode: saved.cost.mode,
        receipt: api.receipt(&saved.receipt),
    })
}

/// `GET /cost-stats`
pub(crate) async fn show_cost_stats(
    api: web::Data<Api>,
) -> Result<NoStore<CostStatsResponse>, ApiError> {
    let status = api.registry.status().await?;
    Ok(NoStore(cost_stats(&api, &status)))
}

fn cost_stats(api: &Api, status: &Status) -> CostStatsResponse {
    let (cost, now_ms) = (&status.cost, status.now_ms);
    let forecast = cost.forecast;
    let by_tier = cost.sessions_by_tier.iter();
    let by_tier: BTreeMap<_, _> = by_tier
        .map(|(tier, count)| (tier, u64::from(*count)))
        .collect();
    let since_ms = cost
        .bill
        .map_or(Month::of(now_ms).start_ms, |bill| bill.as_of_ms);
    let refused = &status.counters.allocations_refused;
    CostStatsResponse {
        cost_metrics: CostMetrics {
            current_spend: cents(forecast.spend.total_usd()),
            projected_monthly_spend: cents(forecast.projected_usd),
            budget_limit: api.cost.monthly_budget_usd,
            cost_ratio: forecast.ratio,
            last_updated: api.wall_time.text(now_ms),
            data_transfer_costs: cents(forecast.spend.transfer_usd),
            compute_costs: cents(forecast.spend.compute_usd),
        },
        session_stats: SessionStats {
            total: cost.sessions(),
            premium: by_tier[&Tier::Premium],
            by_tier,
        },
        mode: ModeStats {
            name: cost.mode,
            budget_mode: cost.budget_mode,
            emergency: cost.mode >= CostMode::Emergency,
            shutdown: cost.mode == CostMode::Shutdown,
            current_threshold: cost.mode.to_string(),
            threshold_ratio: Some(api.cost.thresholds.entry_ratio(cost.mode)),
            forced_until: cost.forced.map(|forced| rfc3339(forced.until_ms)),
            since: rfc3339(cost.budget_mode_since_ms),
        },
        source: match cost.bill {
            Some(_) => SpendSource::Bill,
            None => SpendSource::Metered,
        },
        since: rfc3339(since_ms),
        is_stale: cost.bill.is_some_and(|bill| bill.is_stale(now_ms)),
        allocations: AllocationStats {
            granted: status.counters.allocations_granted,
            refused: refused
                .iter()
                .map(|(code, count)| (code.to_string(), *count))
                .collect(),
        },
        timestamp: api.wall_time.text(now_ms),
    }
}

/// The cost in the response to an allocation.
pub(crate) fn cost_info(api: &Api, cost: &CostStatus) -> CostInfo {
    let left_usd = api.cost.monthly_budget_usd - cost.forecast.spend.total_usd();
    CostInfo {
        current_cost_ratio: cost.forecast.ratio,
        projected_monthly_cost: cents(cost.forecast.projected_usd),
        budget_remaining: cents(left_usd.max(0.0)),
    }
}

/// The cost in the response to `GET /health`.
pub(crate) fn health_cost_info(api: &Api, cost: &CostStatus) -> HealthCostInfo {
    let budget_usd = api.cost.monthly_budget_usd;
    let projected_usd = cents(cost.forecast.projected_usd);
    let used_ratio = cost.forecast.spend.total_usd() / budget_usd;
    HealthCostInfo {
        budget_used: format!("{:.1}%", used_ratio * 100.0),
        budget_used_ratio: Some(used_ratio),
        projected_monthly_cost: format!("${projected_usd:.2}"),
        projected_monthly_cost_usd: Some(projected_usd),
        budget_limit: format!("${budget_usd:.2}"),
        budget_limit_usd: Some(budget_usd),
        mode: cost.mode,
        active_sessions: cost.sessions(),
    }
}

/// Rounds to whole cents. The fixed cost grows with time, so more digits would change with every
/// request.
fn cents(usd: f64) -> f64 {
    (usd * 100.0).round() / 100.0
}
