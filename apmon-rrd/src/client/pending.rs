//! Answers that are on their way.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    task::{self, Poll},
    time::Duration,
};

use apmon_worker::Reply;

use super::{outcome, worker_error};
use crate::{error::RrdError, operation::Updated};

/// An answer that is on its way.
#[derive(Debug)]
pub(super) enum Answer {
    Coming(Reply),
    #[cfg(feature = "in-process")]
    Known(Vec<u8>),
    Failed(RrdError),
}

/// An update that is on its way. Dropped, it is carried out all the same.
#[must_use = "it says whether the values were stored"]
#[derive(Debug)]
pub struct Pending {
    pub(super) path: PathBuf,
    /// Points that were refused before anything was sent.
    pub(super) refused: Vec<(i64, String)>,
    /// `None` if all were refused.
    pub(super) answer: Option<Answer>,
}

impl Answer {
    pub(super) fn wait(self, path: &Path) -> Result<Vec<u8>, RrdError> {
        match self {
            #[cfg(feature = "in-process")]
            Self::Known(answer) => Ok(answer),
            Self::Failed(error) => Err(error),
            Self::Coming(mut reply) => loop {
                match reply.wait(Duration::MAX) {
                    Ok(answer) => break answer.map_err(|error| worker_error(&error, path)),
                    Err(unanswered) => reply = unanswered,
                }
            },
        }
    }
}

impl Pending {
    /// Blocks until the outcome is known.
    ///
    /// # Errors
    ///
    /// If nothing could be stored because of the file: [`Missing`](RrdError::Missing),
    /// [`Damaged`](RrdError::Damaged), [`Locked`](RrdError::Locked);
    /// [`Refused`](RrdError::Refused) if it has no data source of one of the names.
    pub fn wait(self) -> Result<Updated, RrdError> {
        let answer = self.answer.map(|answer| answer.wait(&self.path)).transpose()?;
        updated(answer, &self.path, self.refused)
    }
}

impl Future for Pending {
    type Output = Result<Updated, RrdError>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answer = match &mut this.answer {
            Some(Answer::Coming(reply)) => {
                let answer = task::ready!(Pin::new(reply).poll(cx));
                Some(answer.map_err(|error| worker_error(&error, &this.path)))
            }
            #[cfg(feature = "in-process")]
            Some(Answer::Known(answer)) => Some(Ok(std::mem::take(answer))),
            Some(Answer::Failed(error)) => Some(Err(error.clone())),
            None => None,
        };
        let refused = std::mem::take(&mut this.refused);
        Poll::Ready(match answer.transpose() {
            Ok(answer) => updated(answer, &this.path, refused),
            Err(error) => Err(error),
        })
    }
}

fn updated(
    answer: Option<Vec<u8>>,
    path: &Path,
    mut refused: Vec<(i64, String)>,
) -> Result<Updated, RrdError> {
    let mut updated = Updated::default();
    if let Some(answer) = answer {
        let mut answer = outcome(&answer, path)?;
        updated.stored = answer.index()?;
        updated.refused = answer.list(|it| Ok((it.signed()?, it.string()?)))?;
        answer.end()?;
    }
    updated.refused.append(&mut refused);
    updated.refused.sort_by_key(|(at, _)| *at);
    Ok(updated)
}
