//! Requests and answers as bytes.
//!
//! Numbers have eight bytes, least significant first, and texts end with NUL, so that librrd gets
//! the texts of an update as they arrive. Both sides are the same program.

use std::ffi::{CStr, CString};

use crate::{
    error::RrdError,
    schema::{Consolidation, DataSource, Round, Schema, SourceKind},
};

/// A text cannot be sent because it has a NUL, where C ends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HasNul;

/// Bytes that are neither a request nor an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

impl From<Malformed> for RrdError {
    fn from(_: Malformed) -> Self {
        Self::Worker("its answer cannot be understood".to_owned())
    }
}

/// The operations of librrd, by their first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    Version,
    Create,
    Update,
    Fetch,
    Info,
    LastValues,
    First,
    Tune,
}

const OPERATIONS: [Operation; 8] = [
    Operation::Version,
    Operation::Create,
    Operation::Update,
    Operation::Fetch,
    Operation::Info,
    Operation::LastValues,
    Operation::First,
    Operation::Tune,
];

const KINDS: [SourceKind; 5] = [
    SourceKind::Gauge,
    SourceKind::Counter,
    SourceKind::Derive,
    SourceKind::Absolute,
    SourceKind::Other,
];

const CONSOLIDATIONS: [Consolidation; 5] = [
    Consolidation::Average,
    Consolidation::Min,
    Consolidation::Max,
    Consolidation::Last,
    Consolidation::Other,
];

/// Bytes that grow.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn operation(&mut self, operation: Operation) {
        self.byte(place(&OPERATIONS, operation));
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn real(&mut self, number: f64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// A bound, which is never NaN; NaN stands for none.
    fn bound(&mut self, bound: Option<f64>) {
        self.real(bound.unwrap_or(f64::NAN));
    }

    pub(crate) fn text(&mut self, text: &[u8]) -> Result<(), HasNul> {
        if text.contains(&0) {
            return Err(HasNul);
        }
        self.bytes.extend_from_slice(text);
        self.byte(0);
        Ok(())
    }

    /// A text of this program, shortened where a NUL would end it.
    pub(crate) fn own_text(&mut self, text: &str) {
        let text = text.split('\0').next().unwrap_or_default();
        self.bytes.extend_from_slice(text.as_bytes());
        self.byte(0);
    }

    /// A text whose parts are written one after the other; none of them has a NUL.
    pub(crate) fn parts(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.byte(0);
    }

    pub(crate) fn consolidation(&mut self, consolidation: Consolidation) {
        self.byte(place(&CONSOLIDATIONS, consolidation));
    }

    pub(crate) fn source(&mut self, source: &DataSource) -> Result<(), HasNul> {
        let DataSource {
            name,
            kind,
            heartbeat,
            min,
            max,
        } = source;
        self.text(name.as_bytes())?;
        self.byte(place(&KINDS, *kind));
        self.number(*heartbeat);
        self.bound(*min);
        self.bound(*max);
        Ok(())
    }

    pub(crate) fn schema(&mut self, schema: &Schema) -> Result<(), HasNul> {
        let Schema {
            step,
            sources,
            rounds,
        } = schema;
        self.number(*step);
        self.count(sources.len());
        sources.iter().try_for_each(|source| self.source(source))?;
        self.count(rounds.len());
        for round in rounds {
            self.consolidation(round.consolidation);
            self.real(round.xff);
            self.number(round.steps);
            self.number(round.rows);
        }
        Ok(())
    }
}

/// The place of a variant in its table, which has few.
fn place<T: PartialEq>(table: &[T], variant: T) -> u8 {
    let place = table.iter().position(|other| *other == variant);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX)
}

/// Bytes that are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Checks that nothing is left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn eight(&mut self) -> Result<[u8; 8], Malformed> {
        let (first, rest) = self.bytes.split_first_chunk().ok_or(Malformed)?;
        self.bytes = rest;
        Ok(*first)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.bytes.split_first().ok_or(Malformed)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn variant<T: Copy>(&mut self, table: &[T]) -> Result<T, Malformed> {
        table.get(usize::from(self.byte()?)).copied().ok_or(Malformed)
    }

    pub(crate) fn operation(&mut self) -> Result<Operation, Malformed> {
        self.variant(&OPERATIONS)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        self.eight().map(u64::from_le_bytes)
    }

    /// The number of things that follow, each of at least one byte.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if count > self.bytes.len() {
            return Err(Malformed);
        }
        Ok(count)
    }

    /// A number that may be larger than what follows.
    pub(crate) fn index(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.number()?).map_err(|_| Malformed)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Malformed> {
        self.eight().map(i64::from_le_bytes)
    }

    pub(crate) fn real(&mut self) -> Result<f64, Malformed> {
        self.eight().map(f64::from_le_bytes)
    }

    fn bound(&mut self) -> Result<Option<f64>, Malformed> {
        Ok(Some(self.real()?).filter(|bound| !bound.is_nan()))
    }

    pub(crate) fn text(&mut self) -> Result<&'a CStr, Malformed> {
        let text = CStr::from_bytes_until_nul(self.bytes).map_err(|_| Malformed)?;
        self.bytes = self.bytes.get(text.count_bytes() + 1..).ok_or(Malformed)?;
        Ok(text)
    }

    pub(crate) fn string(&mut self) -> Result<String, Malformed> {
        Ok(self.text()?.to_string_lossy().into_owned())
    }

    pub(crate) fn consolidation(&mut self) -> Result<Consolidation, Malformed> {
        self.variant(&CONSOLIDATIONS)
    }

    /// As many things as are announced.
    pub(crate) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(item(self)?);
        }
        Ok(list)
    }

    pub(crate) fn source(&mut self) -> Result<DataSource, Malformed> {
        Ok(DataSource {
            name: self.string()?,
            kind: self.variant(&KINDS)?,
            heartbeat: self.number()?,
            min: self.bound()?,
            max: self.bound()?,
        })
    }

    pub(crate) fn schema(&mut self) -> Result<Schema, Malformed> {
        Ok(Schema {
            step: self.number()?,
            sources: self.list(Self::source)?,
            rounds: self.list(|it| {
                Ok(Round {
                    consolidation: it.consolidation()?,
                    xff: it.real()?,
                    steps: it.number()?,
                    rows: it.number()?,
                })
            })?,
        })
    }
}

/// A text for C.
pub(crate) fn c_text(text: impl Into<Vec<u8>>) -> Result<CString, HasNul> {
    CString::new(text).map_err(|_| HasNul)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_schema() -> impl Strategy<Value = Schema> {
        let bound = || prop::option::of(-1e9..1e9);
        let sources = (
            "[a-z_]{1,19}",
            0_usize..KINDS.len(),
            any::<u64>(),
            bound(),
            bound(),
        );
        let sources = sources.prop_map(|(name, kind, heartbeat, min, max)| DataSource {
            name,
            kind: KINDS[kind],
            heartbeat,
            min,
            max,
        });
        let rounds = (
            0_usize..CONSOLIDATIONS.len(),
            0.0..1.0,
            any::<u64>(),
            any::<u64>(),
        );
        let rounds = rounds.prop_map(|(consolidation, xff, steps, rows)| Round {
            consolidation: CONSOLIDATIONS[consolidation],
            xff,
            steps,
            rows,
        });
        let list = (
            prop::collection::vec(sources, 0..5),
            prop::collection::vec(rounds, 0..5),
        );
        (any::<u64>(), list).prop_map(|(step, (sources, rounds))| Schema {
            step,
            sources,
            rounds,
        })
    }

    proptest! {
        #[test]
        fn a_schema_arrives_as_it_was_sent(schema in any_schema()) {
            let mut encoder = Encoder::default();
            encoder.schema(&schema).unwrap();
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(decoder.schema(), Ok(schema));
            prop_assert_eq!(decoder.end(), Ok(()));
        }

        #[test]
        fn a_schema_that_is_cut_short_is_malformed(schema in any_schema(), cut in any::<prop::sample::Index>()) {
            let mut encoder = Encoder::default();
            encoder.schema(&schema).unwrap();
            let bytes = encoder.finish();
            let cut = cut.index(bytes.len());
            prop_assert_eq!(Decoder::new(&bytes[..cut]).schema(), Err(Malformed));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Decoder::new(&bytes).schema();
            let _ = Decoder::new(&bytes).list(Decoder::string);
            let _ = crate::librrd::Service::default().answer(&bytes);
        }
    }

    #[test]
    fn a_text_with_nul_is_not_sent() {
        let mut encoder = Encoder::default();
        assert_eq!(encoder.text(b"a\0b"), Err(HasNul));
        encoder.own_text("a\0b");
        assert_eq!(encoder.finish(), b"a\0");
    }

    #[test]
    fn each_operation_has_a_byte_of_its_own() {
        for operation in OPERATIONS {
            let mut encoder = Encoder::default();
            encoder.operation(operation);
            assert_eq!(Decoder::new(&encoder.finish()).operation(), Ok(operation));
        }
        assert_eq!(Decoder::new(&[8]).operation(), Err(Malformed));
    }
}
