//! Checks settings one by one, so that all their faults can be told at once.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// Reads settings and collects what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// A line for each fault.
    pub(super) faults: Vec<String>,
}

impl Checker {
    /// A value of `form`; `otherwise` stands in for one that is wrong.
    pub(super) fn parse<T: FromStr>(
        &mut self,
        name: &str,
        text: &str,
        form: &str,
        otherwise: T,
    ) -> T {
        text.parse().unwrap_or_else(|_| {
            self.faults
                .push(format!("{name} must be {form}, not {text:?}"));
            otherwise
        })
    }

    /// A whole number in `range`.
    pub(super) fn number<N: TryFrom<u64> + Default>(
        &mut self,
        name: &str,
        text: &str,
        range: RangeInclusive<u64>,
    ) -> N {
        let number = text.parse().ok().filter(|number| range.contains(number));
        if let Some(number) = number.and_then(|number| N::try_from(number).ok()) {
            return number;
        }
        let (least, most) = (range.start(), range.end());
        self.faults.push(format!(
            "{name} must be a whole number from {least} to {most}, not {text:?}"
        ));
        N::default()
    }

    /// A count or a size in `range`.
    pub(super) fn size(&mut self, name: &str, text: &str, range: RangeInclusive<u64>) -> usize {
        self.number(name, text, range)
    }
}
