//! How fast an agent is asked: as a switch's small computer can bear it.

use std::time::Duration;

/// So many requests are under way at once. A switch's agent is a small
/// computer, and has one thread.
pub(super) const WINDOW: usize = 4;

/// So many are under way to one agent, whoever asks it.
const ALL_WINDOWS: usize = 8;

/// How long the first answer of an agent is waited for before it is asked
/// again.
const FIRST_TRY: Duration = Duration::from_secs(1);
/// Whatever it took so far, an answer is given so much time.
const SHORTEST_TRY: Duration = Duration::from_millis(500);
const LONGEST_TRY: Duration = Duration::from_secs(5);
/// Who takes longer to answer is asked less at a time: the agent is slow, or the
/// line is long.
const SLOW: Duration = Duration::from_millis(300);

/// So many requests may be under way: one until it is known how fast the agent
/// is (its `mean`), two to a slow one, who answers them one after another.
///
/// Several who ask one agent (the 24 monitors of a switch's ports) share what is
/// good for it; each may have one.
pub(super) fn window(mean: Option<Duration>, askers: usize) -> usize {
    let own = match mean {
        Some(mean) if mean < SLOW => WINDOW,
        Some(_) => 2,
        None => 1,
    };
    own.min(ALL_WINDOWS / askers.max(1)).max(1)
}

/// How long an answer is waited for, with so much time `left` for all.
pub(super) fn first_wait(mean: Option<Duration>, left: Duration) -> Duration {
    let wait = mean.map_or(FIRST_TRY, |mean| (mean * 4).max(SHORTEST_TRY));
    wait.min(longest_wait(left))
}

/// A third of the time there is, if that is long: who is slow is not asked
/// again before they have answered, which would make them slower still.
pub(super) fn longest_wait(left: Duration) -> Duration {
    LONGEST_TRY.max(left / 3)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::agent::Agent;

    #[test]
    fn who_ask_one_agent_share_what_is_good_for_it() {
        let fast = Some(Duration::from_millis(20));
        let windows = [1, 2, 3, 4, 8, 24].map(|askers| window(fast, askers));
        assert_eq!(windows, [4, 4, 2, 2, 1, 1]);
        let slow = Some(Duration::from_secs(1));
        assert_eq!([1, 4, 8].map(|askers| window(slow, askers)), [2, 2, 1]);
        assert_eq!(window(None, 1), 1, "nobody knows how fast it is");

        let agent = Arc::new(Agent::default());
        let asking = (agent.asking(), agent.asking());
        assert_eq!(agent.askers(), 2);
        drop(asking);
        assert_eq!(agent.askers(), 0);
    }
}
