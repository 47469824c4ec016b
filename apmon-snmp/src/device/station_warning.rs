//! Stations that may be missing, or on other ports than shown: what a pinned port must not
//! conclude, and the warnings about it.

use apmon_core::{Mac, Warning, WarningClass};

use super::bridge::Stations;

/// The options of a monitor that need every station on its port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct StationLimits {
    /// Whether the allowed stations are given (`allow_macs`).
    pub allowed: bool,
    /// Whether the number of stations per port is limited (`max_macs_per_port`).
    pub most: bool,
}

impl StationLimits {
    /// The options that cannot be judged if stations are `hidden`, or are only not on a known
    /// port.
    fn unjudged(self, hidden: bool) -> Option<&'static str> {
        match (self.allowed && hidden, self.most) {
            (true, true) => Some("allow_macs and max_macs_per_port"),
            (true, false) => Some("allow_macs"),
            (false, true) => Some("max_macs_per_port"),
            (false, false) => None,
        }
    }
}

impl Stations {
    /// The reason why nothing follows from the absence of stations on a port to which `pinned`
    /// is pinned; `None` if every row was read and placed.
    pub(crate) fn missing(&self, pinned: Mac, ignore_unplaced: bool) -> Option<String> {
        let failure = match (&self.failure, self.is_readable) {
            (None, false) => Some("the device shows no bridge".to_owned()),
            (failure, _) => failure.clone(),
        };
        // That the pinned station itself is on no known port is never ignored.
        let is_ignored = ignore_unplaced && !self.unplaced.contains(&pinned);
        let gap = self.gap.as_ref().filter(|_| !is_ignored);
        failure.or_else(|| gap.map(ToString::to_string))
    }

    /// The warnings about what is not known of the stations, for a monitor with these limits.
    pub(crate) fn warnings(&self, limits: StationLimits, ignore_unplaced: bool) -> Vec<Warning> {
        let gap = self.gap.as_ref().filter(|_| !ignore_unplaced);
        let mut reasons: Vec<String> = self.failure.iter().cloned().collect();
        reasons.extend(gap.map(ToString::to_string));
        let hidden = self.failure.is_some() || !self.is_readable || gap.is_some_and(|gap| gap.unread > 0);
        let unjudged = limits
            .unjudged(hidden)
            .map(|options| format!("{options} cannot be judged"));
        if !self.is_readable && reasons.is_empty() && unjudged.is_some() {
            reasons.push("the device shows no bridge".to_owned());
        }
        let text = (!reasons.is_empty()).then(|| {
            let text = format!("stations may be missing: {}", reasons.join("; "));
            unjudged.map_or(text.clone(), |unjudged| format!("{text}; {unjudged}"))
        });
        let missing = text.map(|text| Warning::degrades(WarningClass::Incomplete, text));
        missing.into_iter().chain(self.doubt_warning()).collect()
    }

    /// The warning that stations may be on other ports than shown.
    pub(crate) fn doubt_warning(&self) -> Option<Warning> {
        let doubt = self.doubt.as_ref()?;
        Some(Warning::note(WarningClass::Incomplete, doubt.clone()))
    }
}
