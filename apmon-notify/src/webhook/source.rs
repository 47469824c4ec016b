//! The options of a webhook, of which some values may be in files that are read at each delivery.

use std::sync::Arc;

use apmon_core::{DeliveryError, Secret};
use tokio::time::Instant;

use super::{
    options::WebhookOptions,
    prepared::{Prepared, WebhookError},
    preset::table::PresetName,
};
use crate::secret_file::SecretFile;

/// Stands for a value that is in a file when the options are checked.
const PLACEHOLDER: &str = "https://file.invalid/";

/// Where the parts of a request come from.
pub(super) struct Source {
    options: WebhookOptions,
    files: Vec<SecretFile>,
    /// The request, if nothing of it is in a file.
    ready: Option<Arc<Prepared>>,
    /// The destination as it may be shown.
    origin: String,
    /// What distinguishes the destination.
    identity: String,
}

impl Source {
    pub(super) fn new(options: WebhookOptions, files: Vec<SecretFile>) -> Result<Self, WebhookError> {
        let mut filled = options.clone();
        for file in &files {
            set(&mut filled, file, Secret::new(PLACEHOLDER));
        }
        let prepared = Prepared::of(&filled)?;
        let url_file = files.iter().find(|file| is_of_url(file));
        Ok(Self {
            origin: url_file.map_or_else(|| prepared.origin.clone(), SecretFile::description),
            identity: url_file
                .map_or(prepared.host.as_str(), SecretFile::name)
                .to_owned(),
            ready: files.is_empty().then(|| Arc::new(prepared)),
            options,
            files,
        })
    }

    /// The destination as it may be shown: scheme, host and port, or the file that contains the
    /// URL.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// What distinguishes the destination: its host, or the name of the file.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn preset(&self) -> Option<PresetName> {
        self.options.preset
    }

    /// The request, with what the files contain now.
    ///
    /// # Errors
    /// A file cannot be read, or its content is of no use. That may change.
    pub(super) async fn prepare(&self, deadline: Instant) -> Result<Arc<Prepared>, DeliveryError> {
        if let Some(ready) = &self.ready {
            return Ok(Arc::clone(ready));
        }
        let failed = |file: &SecretFile, reason: String| {
            DeliveryError::retryable(match is_of_url(file) {
                true => reason,
                false => format!("{}: {reason}", self.origin),
            })
        };
        let mut options = self.options.clone();
        for file in &self.files {
            let value = file.read(deadline).await;
            let value = value.map_err(|error| failed(file, error.to_string()))?;
            if let Some(reason) = self.error_in(file, value.reveal()) {
                return Err(failed(
                    file,
                    format!("the content of {} {reason}", file.description()),
                ));
            }
            set(&mut options, file, value);
        }
        let prepared = Prepared::of(&options);
        prepared.map(Arc::new).map_err(|error| {
            // Only a URL can be wrong here; everything else was checked with the site file.
            DeliveryError::retryable(format!(
                "{}: the content of the file is wrong: {error}",
                self.origin
            ))
        })
    }

    /// Why the service would refuse the value in a file.
    fn error_in(&self, file: &SecretFile, value: &str) -> Option<&'static str> {
        let PresetName(preset) = self.options.preset?;
        let mut options = preset.options.iter();
        let option = options.find(|option| option.file_option() == file.option())?;
        option.error_in(value)
    }
}

/// Whether the file contains the URL of the request.
fn is_of_url(file: &SecretFile) -> bool {
    matches!(file.option(), "endpoint_url_file" | "url_file")
}

/// Sets the value whose option names `file`.
fn set(options: &mut WebhookOptions, file: &SecretFile, value: Secret) {
    match file.option().strip_suffix("_file") {
        Some("endpoint_url") => options.endpoint_url = Some(value),
        Some(name) => _ = options.values.insert(name.to_owned(), value),
        None => {}
    }
}
