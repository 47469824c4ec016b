//! A librrd that keeps its files in memory. Where they are is on disk, so that they can be renamed.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, MutexGuard},
};

use super::super::library::{Begun, Library};
use crate::{
    error::RrdError,
    operation::{FileInfo, LastValues, Tune, Update, Updated, Value},
    schema::Schema,
};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct FakeFile {
    pub(super) schema: Schema,
    pub(super) created_at: i64,
    pub(super) last_update: i64,
    /// The moment and values of each point.
    pub(super) points: Vec<(i64, String)>,
    last: Vec<(String, Option<f64>)>,
}

#[derive(Debug, Default)]
pub(super) struct Fake {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<String, FakeFile>,
    updates: usize,
    create: Option<RrdError>,
    tune: Option<RrdError>,
    info: Option<RrdError>,
    update: Option<(usize, RrdError)>,
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn refuse_create(&self, error: Option<RrdError>) {
        self.lock().create = error;
    }

    pub(super) fn refuse_tune(&self, error: RrdError) {
        self.lock().tune = Some(error);
    }

    pub(super) fn refuse_info(&self, error: RrdError) {
        self.lock().info = Some(error);
    }

    pub(super) fn refuse_updates(&self, times: usize, error: &RrdError) {
        self.lock().update = Some((times, error.clone()));
    }

    /// How many updates were asked for.
    pub(super) fn updates(&self) -> usize {
        self.lock().updates
    }

    pub(super) fn file(&self, path: &Path) -> FakeFile {
        let id = std::fs::read_to_string(path).unwrap_or_else(|_| panic!("no {}", path.display()));
        self.lock().files[&id].clone()
    }

    pub(super) fn add(&self, path: &Path, schema: &Schema, at: i64) {
        let mut state = self.lock();
        let id = format!("rrd {}", state.files.len());
        std::fs::write(path, &id).unwrap();
        let file = FakeFile {
            schema: schema.clone(),
            created_at: at,
            last_update: at,
            points: Vec::new(),
            last: Vec::new(),
        };
        state.files.insert(id, file);
    }
}

impl State {
    fn at(&mut self, path: &Path) -> Result<&mut FakeFile, RrdError> {
        let id = std::fs::read_to_string(path).map_err(|_| RrdError::Missing(path.to_owned()))?;
        self.files.get_mut(&id).ok_or(RrdError::Damaged {
            path: path.to_owned(),
            reason: "not an RRD file".to_owned(),
        })
    }
}

impl Library for Fake {
    fn info(&self, path: &Path) -> Result<FileInfo, RrdError> {
        let mut state = self.lock();
        if let Some(error) = &state.info {
            return Err(error.clone());
        }
        let file = state.at(path)?;
        Ok(FileInfo {
            size: file.schema.size(),
            schema: file.schema.clone(),
            last_update: file.last_update,
            version: "0003".to_owned(),
        })
    }

    fn create(&self, path: &Path, schema: &Schema, last_update: i64) -> Result<(), RrdError> {
        if let Some(error) = &self.lock().create {
            return Err(error.clone());
        }
        assert!(!path.exists(), "a file is never overwritten");
        self.add(path, schema, last_update);
        Ok(())
    }

    fn tune(&self, path: &Path, tune: &Tune) -> Result<(), RrdError> {
        let mut state = self.lock();
        if let Some(error) = &state.tune {
            return Err(error.clone());
        }
        let file = state.at(path)?;
        file.schema.sources.extend(tune.add.clone());
        for (round, rows) in &tune.rows {
            let rows_now = &mut file.schema.rounds[*round].rows;
            *rows_now = rows_now.checked_add_signed(*rows).unwrap();
        }
        for (name, heartbeat) in &tune.heartbeat {
            let mut sources = file.schema.sources.iter_mut();
            sources.find(|it| it.name == *name).unwrap().heartbeat = *heartbeat;
        }
        Ok(())
    }

    fn last_values(&self, path: &Path) -> Result<LastValues, RrdError> {
        let mut state = self.lock();
        let file = state.at(path)?;
        Ok(LastValues {
            at: file.last_update,
            values: file.last.clone(),
        })
    }

    fn update(&self, path: &Path, update: &Update) -> Begun {
        let mut state = self.lock();
        state.updates += 1;
        if let Some((times, error)) = &mut state.update
            && *times > 0
        {
            *times -= 1;
            return Begun::Ended(Err(error.clone()));
        }
        Begun::Ended(state.at(path).map(|file| stored(file, update)))
    }
}

fn stored(file: &mut FakeFile, update: &Update) -> Updated {
    let mut updated = Updated::default();
    for name in &update.names {
        let mut sources = file.schema.sources.iter();
        assert!(
            sources.any(|source| source.name == *name),
            "unknown DS name {name}"
        );
    }
    for point in &update.points {
        assert_eq!(point.values.len(), update.names.len());
        if point.at <= file.last_update {
            updated.refused.push((point.at, "illegal attempt".to_owned()));
            continue;
        }
        file.last_update = point.at;
        let text = |value: &Value| match value {
            Value::Unknown => "U".to_owned(),
            Value::Count(count) => count.to_string(),
            Value::Figure(figure) => figure.to_string(),
        };
        let values = update.names.iter().zip(&point.values);
        let values: Vec<String> = values
            .map(|(name, value)| format!("{name}={}", text(value)))
            .collect();
        file.points.push((point.at, values.join(" ")));
        #[allow(clippy::cast_precision_loss)]
        let number = |value: &Value| match value {
            Value::Unknown => None,
            Value::Count(count) => Some(*count as f64),
            Value::Figure(figure) => Some(*figure),
        };
        file.last = update
            .names
            .iter()
            .cloned()
            .zip(point.values.iter().map(number))
            .collect();
        updated.stored += 1;
    }
    updated
}
