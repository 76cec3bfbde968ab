//! Reads fields that other servers write with another type: a text that was a number in earlier
//! registries, and a list that may be one text.

use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// Reads a text, or a number as its text.
pub(crate) fn text_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(Number),
    }
    Ok(match Either::deserialize(from)? {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    })
}

/// Reads a list of texts, or one text as a list of one.
pub(crate) fn list_or_text<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(from)? {
        Either::List(list) => list,
        Either::Text(text) => vec![text],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::protocol::{HealthCostInfo, IceServer, ModeStats, SessionLimits};

    #[test]
    fn an_ice_server_of_another_program_has_one_uri_or_a_list() {
        let uri = "turn:relay.example.org:3478?transport=udp";
        for urls in [json!(uri), json!([uri])] {
            let server: IceServer = serde_json::from_value(json!({ "urls": urls })).unwrap();
            assert_eq!(server.urls, [uri]);
            assert_eq!(
                serde_json::to_value(server).unwrap(),
                json!({ "urls": [uri] })
            );
        }
        let number = json!({ "urls": 1 });
        assert!(serde_json::from_value::<IceServer>(number).is_err());
    }

    #[test]
    fn an_agent_reads_the_numbers_of_earlier_registries_and_the_words_of_this_one() {
        let mut limits = json!({
            "maxBandwidthMbps": 5, "maxDurationSeconds": 60, "priorityLevel": 1,
        });
        let mut cost = json!({
            "budgetUsed": 0.075, "projectedMonthlyCost": 60.0, "budgetLimit": 800.0,
            "mode": "normal", "activeSessions": 0,
        });
        let mut mode = json!({
            "name": "warning", "budgetMode": "warning", "emergency": false, "shutdown": false,
            "currentThreshold": 0.7, "forcedUntil": null, "since": "2026-01-01T00:00:00.000Z",
        });
        let read = |limits, cost, mode| {
            let limits: SessionLimits = serde_json::from_value(limits).unwrap();
            let cost: HealthCostInfo = serde_json::from_value(cost).unwrap();
            let mode: ModeStats = serde_json::from_value(mode).unwrap();
            let texts = [
                limits.priority_level,
                cost.budget_used,
                cost.projected_monthly_cost,
                cost.budget_limit,
                mode.current_threshold,
            ];
            let usd = (cost.projected_monthly_cost_usd, cost.budget_limit_usd);
            let ratios = (cost.budget_used_ratio, mode.threshold_ratio);
            (texts, limits.priority, usd, ratios)
        };
        let (texts, ..) = read(limits.clone(), cost.clone(), mode.clone());
        assert_eq!(texts, ["1", "0.075", "60.0", "800.0", "0.7"]);
        limits["priorityLevel"] = json!("free");
        limits["priority"] = json!(1);
        cost["budgetUsed"] = json!("7.5%");
        cost["budgetUsedRatio"] = json!(0.075);
        mode["currentThreshold"] = json!("warning");
        mode["thresholdRatio"] = json!(0.7);
        cost["projectedMonthlyCost"] = json!("$60.00");
        cost["projectedMonthlyCostUsd"] = json!(60.0);
        cost["budgetLimit"] = json!("$800.00");
        cost["budgetLimitUsd"] = json!(800.0);
        let (texts, priority, usd, ratios) = read(limits, cost, mode);
        assert_eq!(texts, ["free", "7.5%", "$60.00", "$800.00", "warning"]);
        assert_eq!(priority, Some(1));
        assert_eq!(usd, (Some(60.0), Some(800.0)));
        assert_eq!(ratios, (Some(0.075), Some(0.7)));
    }
}
