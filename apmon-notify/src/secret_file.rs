//! Secrets that are read from a file each time they are needed, so that a new one counts at
//! once.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use apmon_core::{
    Secret,
    config::{Section, Text},
    input_file::{InputFileError, read_text_file},
    text::printable,
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

/// The longest secret; a longer file is named by mistake.
const MAX_LENGTH: u64 = 64 * 1024;

/// The directory of the credentials that systemd passes to a service (`LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The file of one secret.
#[derive(Clone)]
pub(crate) struct SecretFile {
    /// The option that names the file: `token_file`.
    option: String,
    /// The path as it was written.
    shown: String,
    /// Where the file may be, the first place first.
    places: Arc<[PathBuf]>,
    /// A file whose disk does not answer occupies one thread, not one for each attempt.
    reading: Arc<Semaphore>,
}

/// Why a secret is not known. The text names the option and the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{option}: {reason}")]
pub(crate) struct SecretFileError {
    option: String,
    reason: String,
}

impl SecretFile {
    /// The file that `option` names, relative to the working directory.
    pub(crate) fn new(option: &str, path: &Text) -> Self {
        Self::at(option, path, PathBuf::from(path.as_str()))
    }

    /// The file that `option` of a section names, relative to the site file. A file that cannot
    /// be read now is a warning: it is needed only when something is sent.
    pub(crate) fn of(section: &mut Section<'_>, option: &str, path: &Text) -> Self {
        let file = Self::at(option, path, section.path(path.as_str()));
        if let Err(error) = file.read_now() {
            section.warn(
                option,
                format!(
                    "is not usable now, and nothing is delivered without it: {}",
                    error.reason
                ),
            );
        }
        file
    }

    fn at(option: &str, path: &Text, place: PathBuf) -> Self {
        let mut places = vec![place];
        // A name alone may be that of a credential.
        let is_name = Path::new(path.as_str()).components().count() == 1 && !path.as_str().contains('/');
        if let Some(directory) = std::env::var_os(CREDENTIALS).filter(|_| is_name) {
            places.push(Path::new(&directory).join(path.as_str()));
        }
        Self {
            option: option.to_owned(),
            shown: printable(path.as_str()).into_owned(),
            places: places.into(),
            reading: Arc::new(Semaphore::new(1)),
        }
    }

    /// The option that names the file.
    pub(crate) fn option(&self) -> &str {
        &self.option
    }

    /// The name of the file, without its directory.
    pub(crate) fn name(&self) -> &str {
        self.shown
            .rsplit('/')
            .find(|part| !part.is_empty())
            .unwrap_or(&self.shown)
    }

    /// The option and the path, where the secret itself would say where something goes.
    pub(crate) fn description(&self) -> String {
        format!("{} {}", self.option, self.shown)
    }

    /// Reads the secret on a thread of its own, since a disk may not answer.
    ///
    /// # Errors
    /// The file cannot be read by `deadline`, or is empty.
    pub(crate) async fn read(&self, deadline: Instant) -> Result<Secret, SecretFileError> {
        let late = || self.error("could not be read in time");
        let reading = Arc::clone(&self.reading).acquire_owned();
        let permit = tokio::time::timeout_at(deadline, reading)
            .await
            .map_err(|_| late())?;
        let (reply, read) = oneshot::channel();
        let file = self.clone();
        std::thread::Builder::new()
            .name("apmon-secret".into())
            .spawn(move || {
                let result = file.read_now();
                drop(permit);
                let _ = reply.send(result); // the delivery may be over
            })
            .map_err(|error| self.error(&format!("cannot be read: {error}")))?;
        match tokio::time::timeout_at(deadline, read).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.error("cannot be read: the thread that reads it has died")),
            Err(_) => Err(late()),
        }
    }

    fn read_now(&self) -> Result<Secret, SecretFileError> {
        let mut first = None;
        for place in self.places.iter() {
            let text = match read_text_file(place, MAX_LENGTH) {
                Ok(text) => text,
                Err(error) => {
                    first.get_or_insert(error);
                    continue;
                }
            };
            // The line end that editors and `echo` add.
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            return match text.is_empty() {
                true => Err(self.error("is empty")),
                false => Ok(Secret::new(text)),
            };
        }
        Err(self.error(&match first {
            Some(InputFileError::TooLarge { limit, .. }) => {
                format!("is larger than {limit} bytes; name a file that contains only the secret")
            }
            Some(error @ (InputFileError::Directory | InputFileError::Special)) => error.to_string(),
            Some(error) => format!("cannot be read: {error}"),
            None => "cannot be read".to_owned(),
        }))
    }

    /// The error of the file; `what` follows its path.
    fn error(&self, what: &str) -> SecretFileError {
        SecretFileError {
            option: self.option.clone(),
            reason: format!("{} {what}", self.shown),
        }
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command, time::Duration};

    use super::*;

    fn text(text: &str) -> Text {
        serde_json::from_value(text.into()).unwrap()
    }

    async fn read(path: &Path) -> Result<String, String> {
        let file = SecretFile::new("token_file", &text(path.to_str().unwrap()));
        let read = file.read(Instant::now() + Duration::from_secs(20)).await;
        read.map(|secret| secret.reveal().to_owned())
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_secret_is_the_content_of_its_file_without_the_line_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for (content, secret) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            (" s3cret \n", " s3cret "),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(read(&path).await.as_deref(), Ok(secret));
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_secret_is_named_with_its_option() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let shown = path.display();
        let missing = format!("token_file: {shown} cannot be read: No such file or directory (os error 2)");
        assert_eq!(read(&path).await, Err(missing));
        for (content, reason) in [
            ("", "is empty"),
            ("\n", "is empty"),
            (
                "x".repeat(70_000).as_str(),
                "is larger than 65536 bytes; name a file that contains only the secret",
            ),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(read(&path).await, Err(format!("token_file: {shown} {reason}")));
        }
        let pipe = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reason = format!(
            "token_file: {} is a pipe or a device, not a regular file",
            pipe.display()
        );
        assert_eq!(read(&pipe).await, Err(reason));
    }
}
