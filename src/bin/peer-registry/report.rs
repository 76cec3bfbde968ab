//! A simulated month as a table for a person and as JSON for a script.

use std::io::{self, Write};

use peer_registry::clock::rfc3339;
use peer_registry::protocol::Tier;
use peer_registry::server::simulation::Day;
use serde_json::json;

/// Prints one line for each day, and the sum of the month.
///
/// # Errors
/// Writing to `out` failed.
pub(crate) fn print_table(out: &mut impl Write, days: &[Day], budget_usd: f64) -> io::Result<()> {
    writeln!(
        out,
        "{:<10} {:>10} {:>10} {:>6}  {:<9} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "day",
        "spend",
        "projected",
        "ratio",
        "mode",
        "granted",
        "free",
        "basic",
        "standard",
        "premium"
    )?;
    for day in days {
        write!(
            out,
            "{:<10} {:>10.2} {:>10.2} {:>5.0}%  {:<9} {:>8}",
            date_of(day),
            day.spend_usd,
            day.projected_usd,
            100.0 * day.projected_usd / budget_usd,
            day.mode.to_string(),
            day.granted,
        )?;
        for refused in day.refused.values() {
            write!(out, " {refused:>8}")?;
        }
        writeln!(out)?;
    }
    let spend_usd = days.last().map_or(0.0, |day| day.spend_usd);
    let refused: u64 = days
        .iter()
        .flat_map(|day| day.refused.values().map(|count| u64::from(*count)))
        .sum();
    let granted: u64 = days.iter().map(|day| u64::from(day.granted)).sum();
    writeln!(
        out,
        "\nthe month costs {spend_usd:.2} of {budget_usd:.2} US dollars; {granted} sessions are \
         granted, {refused} refused or cut short\nspend and projection in US dollars at the end of \
         the day; mode is the tightest of the day; the last four columns are refusals by tier"
    )
}

/// Prints an array with one object for each day.
///
/// # Errors
/// Writing to `out` failed.
pub(crate) fn print_json(out: &mut impl Write, days: &[Day]) -> io::Result<()> {
    let days: Vec<_> = days
        .iter()
        .map(|day| {
            let refused = Tier::ALL.map(|tier| (tier.to_string(), json!(day.refused[tier])));
            json!({
                "day": date_of(day),
                "spendUsd": day.spend_usd,
                "projectedUsd": day.projected_usd,
                "mode": day.mode,
                "granted": day.granted,
                "refused": serde_json::Map::from_iter(refused),
            })
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &days)?;
    writeln!(out)
}

fn date_of(day: &Day) -> String {
    rfc3339(day.start_ms).chars().take(10).collect()
}
