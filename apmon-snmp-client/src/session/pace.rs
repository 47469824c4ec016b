//! The pace of requests, which a switch's slow processor must bear.

use std::time::Duration;

/// The most requests of a session in flight at once. A switch's agent runs in one thread on
/// a small processor.
pub(super) const WINDOW: usize = 4;

/// The most requests in flight to one agent, over all sessions with it.
const WINDOW_OF_ALL: usize = 8;

/// The wait for an agent's first answer before the request is retried.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The shortest wait for an answer, however fast the agent has been so far.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The mean time until an answer above which an agent gets fewer requests at once.
const SLOW: Duration = Duration::from_millis(300);

/// The number of requests that may be in flight: one until the agent's `mean` round trip is
/// known, two to a slow agent, which answers requests one after another.
///
/// Several sessions with one agent, such as 24 monitors of a switch's ports, share its
/// limit; each may have at least one request in flight.
pub(super) fn window(mean: Option<Duration>, sessions: usize) -> usize {
    let own = match mean {
        Some(mean) if mean < SLOW => WINDOW,
        Some(_) => 2,
        None => 1,
    };
    own.min(WINDOW_OF_ALL / sessions.max(1)).max(1)
}

/// The wait for the answer to a new request, with this much time `left` for the session.
pub(super) fn first_wait(mean: Option<Duration>, left: Duration) -> Duration {
    let wait = mean.map_or(FIRST_WAIT, |mean| (mean * 4).max(SHORTEST_WAIT));
    wait.min(longest_wait(left))
}

/// The longest wait for an answer: a third of the time that is left, if that is long.
/// Retrying before a slow agent has answered makes it even slower.
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
