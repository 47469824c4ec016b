//! How fast an agent is asked: no faster than a switch's small computer can bear.

use std::time::Duration;

/// Requests in flight at once. A switch's agent is a small computer with one
/// thread.
pub(super) const WINDOW: usize = 4;

/// Requests in flight to one agent, over all its sessions.
const WINDOW_OF_ALL: usize = 8;

/// How long to wait for an agent's first answer before asking again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The shortest wait for an answer, however fast the agent was so far.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// An agent that takes longer than this to answer gets fewer requests at once:
/// it is slow, or the line is long.
const SLOW: Duration = Duration::from_millis(300);

/// The number of requests that may be in flight: one until it is known how fast
/// the agent is (its `mean` round trip), two to a slow agent, which answers them
/// one after another.
///
/// Several sessions with one agent (24 monitors of a switch's ports) share what
/// is good for it; each may have at least one.
pub(super) fn window(mean: Option<Duration>, sessions: usize) -> usize {
    let own = match mean {
        Some(mean) if mean < SLOW => WINDOW,
        Some(_) => 2,
        None => 1,
    };
    own.min(WINDOW_OF_ALL / sessions.max(1)).max(1)
}

/// How long to wait for an answer, with that much time `left` for all of them.
pub(super) fn first_wait(mean: Option<Duration>, left: Duration) -> Duration {
    let wait = mean.map_or(FIRST_WAIT, |mean| (mean * 4).max(SHORTEST_WAIT));
    wait.min(longest_wait(left))
}

/// A third of the time that is left, if that is long: asking a slow agent again
/// before it has answered makes it slower still.
pub(super) fn longest_wait(left: Duration) -> Duration {
    LONGEST_WAIT.max(left / 3)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::agent::Agent;

    #[test]
    fn sessions_with_one_agent_share_its_window() {
        let fast = Some(Duration::from_millis(20));
        let windows = [1, 2, 3, 4, 8, 24].map(|sessions| window(fast, sessions));
        assert_eq!(windows, [4, 4, 2, 2, 1, 1]);
        let slow = Some(Duration::from_secs(1));
        assert_eq!([1, 4, 8].map(|sessions| window(slow, sessions)), [2, 2, 1]);
        assert_eq!(window(None, 1), 1, "its speed is not known yet");

        let agent = Arc::new(Agent::default());
        let sessions = (agent.open_session(), agent.open_session());
        assert_eq!(agent.open_sessions(), 2);
        drop(sessions);
        assert_eq!(agent.open_sessions(), 0);
    }
}
