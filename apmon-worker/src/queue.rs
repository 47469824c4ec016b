//! The requests that are not answered yet.

use std::collections::VecDeque;

use crate::{frame, reply::Answer};

/// A request that is not answered yet.
#[derive(Debug)]
pub(crate) struct Request<A = Answer> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) answer: A,
}

/// The requests of the supervisor in their order. The first ones are sent.
///
/// The child works on one request at a time and writes each answer before it begins the next.
/// So when it dies, it has begun at most the first of those that were sent: this one is blamed,
/// and the others can be sent again without being carried out twice. If the child read no byte of
/// the first one, it died of something else, and the first one is sent again as well.
#[derive(Debug)]
pub(crate) struct Queue<A = Answer> {
    requests: VecDeque<Request<A>>,
    /// How many of them are sent.
    sent: usize,
}

impl<A> Default for Queue<A> {
    fn default() -> Self {
        Self {
            requests: VecDeque::new(),
            sent: 0,
        }
    }
}

impl<A> Queue<A> {
    /// Adds requests at the end.
    pub(crate) fn append(&mut self, requests: &mut VecDeque<Request<A>>) {
        self.requests.append(requests);
    }

    /// Whether fewer than `open` requests are sent. A limit of 0 counts as 1.
    pub(crate) fn can_send(&self, open: usize) -> bool {
        self.sent < open.max(1)
    }

    /// The next request to send, if it [can be sent](Self::can_send). It counts as sent.
    pub(crate) fn next_to_send(&mut self, open: usize) -> Option<&[u8]> {
        if !self.can_send(open) {
            return None;
        }
        let request = self.requests.get(self.sent)?;
        self.sent += 1;
        Some(&request.bytes)
    }

    /// Takes the request that an answer belongs to; `None` if none is sent.
    pub(crate) fn answered(&mut self) -> Option<Request<A>> {
        self.sent = self.sent.checked_sub(1)?;
        self.requests.pop_front()
    }

    /// Takes the request that is blamed for the death of the child: the first of those that were
    /// sent, unless the child has read nothing of it. `unread` is how many bytes of the requests
    /// that were sent the child has not read. The others count as not sent.
    pub(crate) fn child_died(&mut self, unread: usize) -> Option<Request<A>> {
        let sent = self.requests.iter().take(self.sent);
        let sent: usize = sent.map(|request| frame::length_of(&request.bytes)).sum();
        let blamed = (unread < sent).then(|| self.answered()).flatten();
        self.sent = 0;
        blamed
    }

    /// Takes all requests, in their order.
    pub(crate) fn take_all(&mut self) -> VecDeque<Request<A>> {
        self.sent = 0;
        std::mem::take(&mut self.requests)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// How many requests are sent and not answered.
    pub(crate) fn open(&self) -> usize {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Request,
        Send,
        Answer,
        /// The child dies, and has not read this many bytes.
        Die {
            unread: usize,
        },
    }

    proptest! {
        /// A child as a model: the requests that it received and has not answered.
        #[test]
        fn each_request_ends_once_in_order_and_is_never_begun_twice(
            steps in prop::collection::vec(
                prop_oneof![
                    4 => Just(Step::Request),
                    4 => Just(Step::Send),
                    3 => Just(Step::Answer),
                    1 => (0_usize..25).prop_map(|unread| Step::Die { unread }),
                ],
                0..200,
            ),
            open in 1_usize..5,
        ) {
            let mut queue = Queue::<u8>::default();
            let mut child = VecDeque::new();
            let (mut requested, mut ended, mut begun) = (0_u8, Vec::new(), Vec::new());
            for step in steps.into_iter().chain([Step::Send, Step::Die { unread: 0 }]) {
                match step {
                    Step::Request => {
                        let bytes = vec![requested];
                        queue.append(&mut VecDeque::from([Request { bytes, answer: requested }]));
                        requested += 1;
                    }
                    Step::Send => {
                        while let Some(bytes) = queue.next_to_send(open) {
                            child.push_back(bytes[0]);
                        }
                        prop_assert!(child.len() <= open);
                    }
                    Step::Answer => {
                        let answered = child.pop_front();
                        begun.extend(answered);
                        prop_assert_eq!(queue.answered().map(|request| request.answer), answered);
                        ended.extend(answered);
                    }
                    Step::Die { unread } => {
                        // The frame of each request has five bytes.
                        let sent = child.len() * 5;
                        let read = sent.saturating_sub(unread);
                        let first = child.front().copied();
                        begun.extend(first.filter(|_| read >= 5));
                        let blamed = queue.child_died(unread.min(sent)).map(|request| request.answer);
                        prop_assert_eq!(blamed, first.filter(|_| read > 0));
                        ended.extend(blamed);
                        child.clear();
                    }
                }
                prop_assert_eq!(queue.open(), child.len());
            }
            ended.extend(queue.take_all().iter().map(|request| request.answer));
            prop_assert!(queue.is_empty());
            prop_assert_eq!(ended, (0..requested).collect::<Vec<_>>());
            prop_assert!(begun.is_sorted_by(|a, b| a < b), "{:?}", begun);
        }
    }

    #[test]
    fn a_limit_of_no_open_requests_sends_one_at_a_time() {
        let mut queue = Queue::default();
        let request = |answer| Request {
            bytes: vec![],
            answer,
        };
        queue.append(&mut [1, 2].map(request).into());
        assert!(queue.next_to_send(0).is_some());
        assert!(queue.next_to_send(0).is_none());
    }
}
