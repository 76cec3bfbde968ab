//! The counted traffic of each day.

use std::collections::BTreeMap;

use crate::server::model::{DayTraffic, TurnSession};
use crate::server::policy::cost::{DAY_MS, Month};

/// Traffic by day. A day is a number of days since 1970-01-01.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DailyTraffic(BTreeMap<i64, DayTraffic>);

impl DailyTraffic {
    /// Adds the traffic of a session until `until_ms`, split by day.
    pub(crate) fn add_session(&mut self, session: &mut TurnSession, until_ms: i64) {
        while session.booked_until_ms < until_ms {
            let day = day_of(session.booked_until_ms);
            let time_ms = until_ms.min((day + 1) * DAY_MS);
            let bytes = session.relayed_bytes(time_ms);
            self.add_relayed(day, bytes - session.booked_bytes);
            session.booked_bytes = bytes;
            session.booked_until_ms = time_ms;
        }
    }

    /// Adds a report on a session that has ended. The traffic goes to the day of the session's last
    /// millisecond.
    pub(crate) fn correct(&mut self, session: &mut TurnSession) {
        let bytes = session.relayed_bytes(session.expires_at_ms);
        let day = day_of(session.granted_at_ms.max(session.expires_at_ms - 1));
        self.add_relayed(day, bytes - session.booked_bytes);
        session.booked_bytes = bytes;
    }

    pub(crate) fn add_http(&mut self, day: i64, bytes: i64) {
        if bytes != 0 {
            let traffic = self.0.entry(day).or_default();
            traffic.http_bytes = traffic.http_bytes.saturating_add(bytes);
        }
    }

    fn add_relayed(&mut self, day: i64, bytes: i64) {
        if bytes != 0 {
            let traffic = self.0.entry(day).or_default();
            traffic.relayed_bytes = traffic.relayed_bytes.saturating_add(bytes);
        }
    }

    /// Adds other changes to these.
    pub(crate) fn extend(&mut self, changes: &[(i64, DayTraffic)]) {
        for (day, change) in changes {
            self.add_http(*day, change.http_bytes);
            self.add_relayed(*day, change.relayed_bytes);
        }
    }

    pub(crate) fn into_rows(self) -> Vec<(i64, DayTraffic)> {
        self.0.into_iter().collect()
    }

    pub(crate) fn rows(&self) -> Vec<(i64, DayTraffic)> {
        self.clone().into_rows()
    }

    /// The sum of all bytes from the day `first` to the day before `end`.
    pub(crate) fn bytes_between(&self, first: i64, end: i64) -> i64 {
        let days = self.0.range(first..end);
        days.flat_map(|(_, traffic)| [traffic.http_bytes, traffic.relayed_bytes])
            .fold(0, i64::saturating_add)
    }

    /// Drops the days before `first`.
    pub(crate) fn drop_before(&mut self, first: i64) {
        self.0 = self.0.split_off(&first);
    }
}

/// The day of a time, in days since 1970-01-01.
pub(crate) fn day_of(time_ms: i64) -> i64 {
    time_ms.div_euclid(DAY_MS)
}

/// The first day of the month of `now_ms`, in days since 1970-01-01.
pub(crate) fn first_day_of_month(now_ms: i64) -> i64 {
    day_of(Month::of(now_ms).start_ms)
}
