//! The addresses of a host, to which a check goes one after the other.

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::{
    config::{Addresses, Host, SourceAddresses},
    outcome::{Domain, Failure, FailureClass, Outcome, Warning, WarningClass},
    probe::{Check, Probe, ProbeTarget, Turn, TurnHost},
    time::Stopwatch,
};

/// The shortest time that an address has to answer, if the check has that long.
const MIN_SHARE: Duration = Duration::from_secs(1);

/// The most addresses of a name that one check goes to.
const MAX_ADDRESSES: usize = 64;

/// The most addresses that a reason or a step lists.
const MAX_SHOWN: usize = 6;

/// How a target is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// Which addresses of its name must answer.
    pub addresses: Addresses,
    /// The addresses of this machine from which it is checked.
    pub source: SourceAddresses,
}

impl Reach {
    /// Creates it from both.
    pub(crate) fn new(addresses: Addresses, source: SourceAddresses) -> Self {
        Self { addresses, source }
    }

    /// Shares it: all that are the default are one.
    pub(crate) fn shared(self) -> Arc<Self> {
        static DEFAULT: LazyLock<Arc<Reach>> = LazyLock::new(Arc::default);
        match self == **DEFAULT {
            true => Arc::clone(&DEFAULT),
            false => Arc::new(self),
        }
    }
}

/// The order in which `addresses` are tried: an IPv4 address first, then both families in turn,
/// each in the order given. Addresses that occur twice are left out.
#[must_use]
pub fn in_turn(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    if addresses.len() < 2 {
        return addresses;
    }
    let mut known = HashSet::with_capacity(addresses.len());
    let distinct = addresses.into_iter().filter(|address| known.insert(*address));
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = distinct.partition(IpAddr::is_ipv4);
    let (mut v4, mut v6) = (v4.into_iter(), v6.into_iter());
    let mut ordered = Vec::with_capacity(v4.len() + v6.len());
    while v4.len() + v6.len() > 0 {
        ordered.extend(v4.next());
        ordered.extend(v6.next());
    }
    ordered
}

/// The time that the next of several `addresses` has to answer, with `left` for all of them: its
/// share, but at least a second.
#[must_use]
pub fn share(left: Duration, addresses: usize) -> Duration {
    let fair = left / u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    fair.max(MIN_SHARE).min(left)
}

/// The addresses of a host, to which a check goes one after the other.
///
/// An address that refuses, is unreachable or does not answer within its share of the time is
/// followed by the next one. What else fails is the host's answer, and ends the check.
pub struct Attempts<'a> {
    check: &'a Check,
    left: VecDeque<IpAddr>,
    /// How many addresses there are; 1 if the others do not matter.
    count: usize,
    host: TurnHost,
    /// The addresses that were tried, and why that was not enough.
    failed: Vec<(IpAddr, Failure)>,
}

impl<'a> Attempts<'a> {
    /// Finds the addresses of `target`, which the check begins with.
    ///
    /// # Errors
    /// Those of [`Names::addresses`](crate::Names::addresses); a failure of our own if this
    /// machine lacks the source address.
    pub async fn of(target: ProbeTarget<'_>, reach: Reach, check: &'a Check) -> Result<Self, Failure> {
        let watch = Stopwatch::start();
        let mut turns = TurnHost {
            addresses: reach.addresses,
            source: reach.source,
            ..TurnHost::default()
        };
        let addresses = match &target.remote.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let resolve = target.remote.resolve;
                let found = target.names.addresses(name, resolve, check.deadline()).await?;
                let mut addresses = in_turn(found);
                check.step("resolve", || format!("{name} is {}", list(&addresses)));
                addresses.truncate(match reach.addresses {
                    Addresses::First => 1,
                    Addresses::Any | Addresses::All => MAX_ADDRESSES,
                });
                if addresses.is_empty() {
                    return Err(Failure::new(
                        FailureClass::NoSuchName,
                        format!("resolve: no address for {name}"),
                    ));
                }
                turns.name = Some(name.as_str().into());
                turns.resolved_in = Some(watch.elapsed());
                addresses
            }
        };
        let missing = addresses
            .iter()
            .filter_map(|address| reach.source.toward(*address))
            .find(|source| !target.network.has(*source));
        if let Some(source) = missing {
            return Err(Failure::new(
                FailureClass::NoRoute,
                format!("source_address {source} is not an address of this machine"),
            ));
        }
        Ok(Self {
            check,
            count: addresses.len(),
            left: addresses.into(),
            host: turns,
            failed: Vec::new(),
        })
    }

    /// Finds the addresses of another host, to which a check has been referred, or of the same
    /// one once more. The address that has answered before comes first. Where only the
    /// [first](Addresses::First) address counts, or [each](Addresses::All) is checked by itself,
    /// it is the only one: another one must not answer in its place. Any address of another host
    /// will do, if each one of the monitor's own host must answer.
    ///
    /// # Errors
    /// Those of [`of`](Self::of).
    pub async fn onward(target: ProbeTarget<'_>, check: &'a Check) -> Result<Self, Failure> {
        let wanted = check.addresses();
        if wanted != Addresses::Any
            && let Some(address) = check.address_of(&target.remote.host)
        {
            let host = check.turn_host();
            return Ok(Self {
                check,
                count: 1,
                left: [address].into(),
                host,
                failed: Vec::new(),
            });
        }
        let mut attempts = Self::of(target, Reach::new(Addresses::Any, check.sources()), check).await?;
        let known = check
            .address()
            .and_then(|address| attempts.left.iter().position(|other| *other == address));
        if let Some(address) = known.and_then(|at| attempts.left.remove(at)) {
            attempts.left.push_front(address);
        }
        if wanted == Addresses::First || (wanted == Addresses::All && known.is_some()) {
            attempts.left.truncate(1);
            attempts.count = 1;
        }
        Ok(attempts)
    }

    /// Whether there are several addresses.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.count > 1
    }

    /// Whether no address is left after the one whose turn it is.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.left.is_empty()
    }

    /// The check of the next address; `None` if there is none left, or no time.
    pub fn next_check(&mut self) -> Option<Check> {
        let now = Instant::now();
        let left = self.check.deadline().saturating_duration_since(now);
        if left.is_zero() && !self.failed.is_empty() {
            return None;
        }
        let share = share(left, self.left.len());
        let address = self.left.pop_front()?;
        let shown = self.are_several().then(|| tenths(share));
        Some(self.check.at(self.turn(address, now + share, shown)))
    }

    /// The checks of all addresses at the same time, each with all the time that is left.
    pub fn all(&mut self) -> Vec<Check> {
        let until = self.check.deadline();
        let addresses = std::mem::take(&mut self.left);
        let check = |address| self.check.at(self.turn(address, until, None));
        addresses.into_iter().map(check).collect()
    }

    fn turn(&self, address: IpAddr, until: Instant, share: Option<Duration>) -> Turn {
        Turn::new(address, until, share, self.host.clone())
    }

    /// Whether the check goes on to the next address after the failure of an attempt.
    pub fn goes_on(&mut self, attempt: &Check, failure: &Failure) -> bool {
        let Some(address) = attempt.address() else {
            return false;
        };
        if attempt.is_reached() || !concerns_address(failure.class) {
            return false;
        }
        self.failed.push((address, failure.clone()));
        let goes_on = !self.left.is_empty() && Instant::now() < self.check.deadline();
        if goes_on {
            self.check
                .step("address", || format!("{address} failed: {failure}; the next one"));
        }
        goes_on
    }

    /// The failure of the check, given that of its last attempt. It names the address if the
    /// host has a name.
    #[must_use]
    pub fn failure(&self, attempt: &Check, failure: Failure) -> Failure {
        match self.failed.last() {
            Some((address, _)) if attempt.address() == Some(*address) => self.all_failed(),
            _ => named(failure, attempt.named_address()),
        }
    }

    /// The failure of a check that no address has answered.
    #[must_use]
    pub fn all_failed(&self) -> Failure {
        let mut failure = match self.host.name {
            Some(_) => combined(&self.failed),
            None => self.failed.first().map(|(_, failure)| failure.clone()),
        }
        .unwrap_or_else(|| self.check.timed_out("resolve"));
        match self.left.len() {
            0 => {}
            1 => failure.reason.push_str("; 1 more address was not tried"),
            more => failure
                .reason
                .push_str(&format!("; {more} more addresses were not tried")),
        }
        failure
    }

    /// A note for each address that was tried in vain. Those that this machine cannot reach
    /// through a fault of its own have none.
    pub fn notes(&self) -> impl Iterator<Item = Warning> {
        let dead = self
            .failed
            .iter()
            .filter(|(_, failure)| failure.class.domain() != Domain::Own);
        dead.map(|(address, failure)| {
            let text = format!("{address} cannot be reached: {failure}");
            Warning::note(WarningClass::Address, text)
        })
    }

    /// Completes the outcome of the last attempt: its reason names the address, and notes name
    /// those that were tried before.
    pub fn finish(&self, attempt: &Check, outcome: &mut Outcome) {
        let is_last = |address| self.failed.last().is_some_and(|(last, _)| address == Some(*last));
        if outcome.failure().is_none() || !is_last(attempt.address()) {
            outcome.warnings.extend(self.notes());
        }
        outcome.map_failure(|failure| self.failure(attempt, failure));
    }

    /// The outcome of a check in which every address must answer, given that of each.
    #[must_use]
    pub fn together(all: Vec<(IpAddr, Outcome)>) -> Outcome {
        let count = all.len();
        let failed: Vec<_> = all
            .iter()
            .filter_map(|(address, outcome)| Some((*address, outcome.failure()?.clone())))
            .collect();
        let warnings = shared_warnings(&all);
        let slowest = all.into_iter().map(|(_, outcome)| outcome).max_by_key(|outcome| {
            // Figures of a failed check, if there are no others.
            (outcome.failure().is_none(), outcome.latency)
        });
        let mut outcome = slowest.unwrap_or_default();
        outcome.warnings = warnings;
        let Some(mut failure) = combined(&failed) else {
            return outcome;
        };
        if failed.len() < count {
            failure.reason = format!("{} of {count} addresses: {}", failed.len(), failure.reason);
        }
        outcome.fail_with(failure);
        outcome
    }
}

/// Whether the address of `target`, or the one from which it is checked, must be chosen; or
/// those of hosts to which it may lead.
pub(crate) fn chooses(target: ProbeTarget<'_>, reach: &Reach) -> bool {
    matches!(target.remote.host, Host::Name(_)) || *reach != Reach::default()
}

/// Checks `target` with `probe`, at one address after the other or at all of them.
pub(crate) async fn check<P: Probe + ?Sized>(
    probe: &P,
    target: ProbeTarget<'_>,
    reach: Reach,
    check: &Check,
) -> Outcome {
    let mut attempts = match Attempts::of(target, reach, check).await {
        Ok(attempts) => attempts,
        Err(failure) => return failure.into(),
    };
    if reach.addresses == Addresses::All && attempts.are_several() {
        let checks = attempts.all();
        let outcomes = join_all(checks.iter().map(|check| probe.probe(check))).await;
        let addresses = checks.iter().filter_map(Check::address);
        return Attempts::together(addresses.zip(outcomes).collect());
    }
    while let Some(attempt) = attempts.next_check() {
        let mut outcome = probe.probe(&attempt).await;
        if let Some(failure) = outcome.failure()
            && attempts.goes_on(&attempt, failure)
        {
            continue;
        }
        attempts.finish(&attempt, &mut outcome);
        return outcome;
    }
    attempts.all_failed().into()
}

/// Whether a failure before any answer concerns the address, so that another one may work.
fn concerns_address(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::Refused
            | FailureClass::Reset
            | FailureClass::HostUnreachable
            | FailureClass::TimedOut
            | FailureClass::NoRoute
            | FailureClass::Permission
    )
}

/// The failures of several addresses as one: it is the host's fault if it is at one of them.
/// Addresses with the same reason are listed together.
fn combined(failed: &[(IpAddr, Failure)]) -> Option<Failure> {
    let theirs = failed
        .iter()
        .find(|(_, failure)| failure.class.domain() != Domain::Own);
    let (_, decisive) = theirs.or(failed.first())?;
    let mut groups: Vec<(&Failure, Vec<IpAddr>)> = Vec::new();
    for (address, failure) in failed {
        match groups
            .iter_mut()
            .find(|(other, _)| other.reason == failure.reason)
        {
            Some((_, addresses)) => addresses.push(*address),
            None => groups.push((failure, vec![*address])),
        }
    }
    let mut parts: Vec<String> = groups
        .iter()
        .take(MAX_REASONS)
        .map(|(failure, addresses)| match addresses[..] {
            [address] => named((*failure).clone(), Some(address)).reason,
            _ => format!("{failure} ({})", list(addresses)),
        })
        .collect();
    let more: usize = groups.iter().skip(MAX_REASONS).map(|(_, all)| all.len()).sum();
    match more {
        0 => {}
        1 => parts.push("1 more address failed".to_owned()),
        more => parts.push(format!("{more} more addresses failed")),
    }
    Some(Failure::new(decisive.class, parts.join("; ")))
}

/// The most different reasons that one reason combines.
const MAX_REASONS: usize = 3;

/// A failure whose reason names the address.
fn named(failure: Failure, address: Option<IpAddr>) -> Failure {
    match address {
        Some(address) if !mentions(&failure.reason, address) => {
            Failure::new(failure.class, format!("{failure} ({address})"))
        }
        _ => failure,
    }
}

/// Whether `text` contains the address as a word.
fn mentions(text: &str, address: IpAddr) -> bool {
    let address = address.to_string();
    let mut words = text.split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, '.' | ':'));
    words.any(|word| word.trim_end_matches(['.', ':']) == address)
}

/// The warnings of several addresses. One that not all of them have names its addresses.
fn shared_warnings(all: &[(IpAddr, Outcome)]) -> Vec<Warning> {
    let mut shared: Vec<(Warning, Vec<IpAddr>)> = Vec::new();
    for (address, outcome) in all {
        for warning in &outcome.warnings {
            match shared.iter_mut().find(|(other, _)| other == warning) {
                Some((_, addresses)) => addresses.push(*address),
                None => shared.push((warning.clone(), vec![*address])),
            }
        }
    }
    let warnings = shared.into_iter().map(|(mut warning, addresses)| {
        if addresses.len() < all.len() {
            warning.text = format!("{} ({})", warning.text, list(&addresses));
        }
        warning
    });
    warnings.collect()
}

/// The first addresses of a list, and how many more there are.
fn list(addresses: &[IpAddr]) -> String {
    let shown = addresses.iter().take(MAX_SHOWN).map(ToString::to_string);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match addresses.len().saturating_sub(MAX_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A duration to a tenth of a second, as reasons show it.
fn tenths(duration: Duration) -> Duration {
    let tenths = (duration + Duration::from_millis(50)).as_millis() / 100;
    Duration::from_millis(u64::try_from(tenths).unwrap_or(u64::MAX).saturating_mul(100))
}

#[cfg(test)]
mod tests;
