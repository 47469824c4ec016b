use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use proptest::prelude::*;

use super::*;
use crate::{
    agent::Agent,
    message::Pdu,
    value::{Value, Varbind},
};

/// The number of requests in flight, as in a session.
const WINDOW: usize = 4;

/// Queries `agent` until the walk ends, and returns the columns and the number of requests;
/// `None` if it has not ended after `most` requests. Answers come in the order of the requests.
fn walk(
    groups: Vec<Group>,
    known: &Agent,
    is_v1: bool,
    most: usize,
    mut agent: impl FnMut(&Request) -> Pdu,
) -> Option<(Vec<Vec<Column>>, usize)> {
    let mut walks = Walks::new(groups);
    let mut pending = VecDeque::new();
    let mut asked = 0;
    loop {
        while pending.len() < WINDOW {
            let notes = known.notes().clone();
            let Some(request) = walks.next(Limits {
                lacks_bulk: is_v1 || notes.knows_bulk == Some(false),
                most_varbinds: notes.most_varbinds,
                most_octets: notes.most_octets,
                overhead: 46,
            }) else {
                break;
            };
            asked += 1;
            if asked > most {
                return None;
            }
            pending.push_back(request);
        }
        let Some(request) = pending.pop_front() else {
            return Some((walks.finish(), asked));
        };
        let pdu = agent(&request);
        let length = octets(&pdu);
        let answer = Answer { pdu, length };
        if walks.answered(request, answer, &mut known.notes()).is_err() {
            return Some((walks.finish(), asked));
        }
    }
}

fn octets(pdu: &Pdu) -> usize {
    let message = crate::message::CommunityMessage {
        is_v1: false,
        community: b"public".to_vec(),
        body: crate::message::Body::Pdu(pdu.clone()),
    };
    message.encode().len()
}

fn response(status: i32, index: i32, varbinds: Vec<Varbind>) -> Pdu {
    Pdu {
        kind: PduKind::Response,
        request_id: 1,
        error_status: status,
        error_index: index,
        varbinds,
    }
}

/// The peculiarities of an honest agent.
#[derive(Clone, Debug)]
struct Manner {
    is_v1: bool,
    knows_bulk: bool,
    /// The limit, in varbinds or octets, above which answers are tooBig or cut off.
    varbinds: usize,
    octets: usize,
    cuts: bool,
    /// Whether the MIB ends with noSuchName, although the agent speaks v2c.
    no_such_name: bool,
}

/// The agent's answer from `table`.
fn honest(table: &BTreeMap<Oid, Value>, manner: &Manner, request: &Request) -> Pdu {
    let refused = |status, at: usize| {
        let same = request
            .oids
            .iter()
            .map(|oid| Varbind::new(oid.clone(), Value::Null));
        response(status, i32::try_from(at).unwrap(), same.collect())
    };
    if request.kind == PduKind::GetBulk && !manner.knows_bulk {
        return refused(2, 1);
    }
    let mut at = request.oids.clone();
    let mut varbinds: Vec<Varbind> = Vec::new();
    for _ in 0..request.repetitions {
        for (place, oid) in at.iter_mut().enumerate() {
            let next = table
                .range::<Oid, _>((Bound::Excluded(&*oid), Bound::Unbounded))
                .next();
            match next {
                Some((next, value)) => {
                    *oid = next.clone();
                    varbinds.push(Varbind::new(next.clone(), value.clone()));
                }
                None if manner.is_v1 || manner.no_such_name => return refused(2, place + 1),
                None => varbinds.push(Varbind::new(oid.clone(), Value::EndOfMibView)),
            }
        }
    }
    let fits = |varbinds: &[Varbind]| {
        varbinds.len() <= manner.varbinds && octets(&response(0, 0, varbinds.to_vec())) <= manner.octets
    };
    if !fits(&varbinds) {
        if request.kind != PduKind::GetBulk || !manner.cuts {
            return response(1, 0, Vec::new());
        }
        while !fits(&varbinds) {
            varbinds.pop();
        }
    }
    response(0, 0, varbinds)
}

const ROOT: [u32; 3] = [1, 3, 6];

fn root(column: u32) -> Oid {
    Oid::join(&ROOT, &[column])
}

fn any_table() -> impl Strategy<Value = BTreeMap<Oid, Value>> {
    let value = prop_oneof![
        any::<u64>().prop_map(Value::Counter64),
        (0..3_i64).prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Value::Octets),
    ];
    let index = prop::collection::vec(0_u32..300, 1..4);
    let row = ((1_u32..6, index), value);
    let rows = prop::collection::vec(row, 0..200);
    rows.prop_map(|rows| {
        let rows = rows.into_iter();
        rows.map(|((column, index), value)| (Oid::join(root(column).parts(), &index), value))
            .collect()
    })
}

fn any_manner() -> impl Strategy<Value = Manner> {
    (
        any::<bool>(),
        any::<bool>(),
        prop_oneof![1_usize..12, 12_usize..300],
        484_usize..3_000,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(is_v1, knows_bulk, varbinds, octets, cuts, no_such_name)| Manner {
                is_v1,
                knows_bulk,
                varbinds,
                octets,
                cuts,
                no_such_name,
            },
        )
}

fn of(table: &BTreeMap<Oid, Value>, root: &Oid) -> Column {
    let below = |(oid, value): (&Oid, &Value)| {
        oid.below(root.parts()).map(|index| Row {
            index: index.to_vec(),
            value: value.clone(),
        })
    };
    Column {
        rows: table.iter().filter_map(below).collect(),
        failure: None,
    }
}

fn as_they_come(columns: u32) -> Group {
    Group::new((1..=columns).map(root), 10_000)
}

/// A table of `columns` columns with `rows` counters each.
fn counters(columns: u32, rows: u32) -> BTreeMap<Oid, Value> {
    let row = |column, row| {
        (
            Oid::join(root(column).parts(), &[row]),
            Value::Counter64(1 << 40 | u64::from(row)),
        )
    };
    (1..=columns)
        .flat_map(|column| (1..=rows).map(move |at| row(column, at)))
        .collect()
}

const GOOD: Manner = Manner {
    is_v1: false,
    knows_bulk: true,
    varbinds: 1_000,
    octets: 1_472,
    cuts: true,
    no_such_name: false,
};

proptest! {
    #[test]
    fn a_walk_of_an_honest_agent_returns_exactly_its_table(table in any_table(), manner in any_manner()) {
        let known = Agent::default();
        let groups = vec![as_they_come(5), Group::new([root(3), root(1)], 10_000), Group::new([], 10)];
        let (columns, _) = walk(groups, &known, manner.is_v1, 20_000, |request| honest(&table, &manner, request))
            .expect("the walk ends");
        let whole: Vec<Column> = (1..=5).map(|column| of(&table, &root(column))).collect();
        prop_assert_eq!(&columns[0], &whole);
        prop_assert_eq!(&columns[1], &[whole[2].clone(), whole[0].clone()]);
        prop_assert!(columns[2].is_empty());
    }

    /// Checks that a walk with a limit of rows takes no more requests than rows, whatever the
    /// agent answers, in whatever order.
    #[test]
    fn a_walk_ends_whatever_the_agent_answers(
        answers in prop::collection::vec(any_answer(), 1..40),
        limit in 0_usize..50,
        is_v1: bool,
    ) {
        let known = Agent::default();
        let groups = vec![Group::new((1..=4).map(root), limit), Group::new([root(2)], limit)];
        let mut turn = 0;
        let end = walk(groups, &known, is_v1, 60 + 12 * limit, |request| {
            turn += 1;
            answers[turn % answers.len()].to(request)
        });
        let (columns, _) = end.expect("the walk ends");
        for column in columns.iter().flatten() {
            prop_assert!(column.rows.len() <= limit);
        }
    }
}

/// The answer of a hostile agent, whatever the request.
#[derive(Clone, Debug)]
enum Bad {
    Status(i32, i32),
    /// The position of each varbind, relative to the requested one.
    Rows(usize, Vec<i64>, bool),
    End(usize),
}

fn any_answer() -> impl Strategy<Value = Bad> {
    prop_oneof![
        (prop_oneof![0..20, any::<i32>()], prop_oneof![-1..8, any::<i32>()])
            // Without the status that ends the whole walk.
            .prop_filter("ends", |(status, _)| *status != 16)
            .prop_map(|(status, index)| Bad::Status(status, index)),
        (0_usize..12, prop::collection::vec(-3_i64..9, 1..5), any::<bool>())
            .prop_map(|(count, steps, exists)| Bad::Rows(count, steps, exists)),
        (0_usize..5).prop_map(Bad::End),
    ]
}

impl Bad {
    fn to(&self, request: &Request) -> Pdu {
        let asked = |i: usize| &request.oids[i % request.oids.len()];
        match self {
            Self::Status(status, index) => response(*status, *index, Vec::new()),
            Self::End(count) => {
                let end = |i| Varbind::new(asked(i).clone(), Value::EndOfMibView);
                response(0, 0, (0..*count).map(end).collect())
            }
            Self::Rows(count, steps, exists) => {
                let varbind = |i: usize| {
                    let mut oid = asked(i).parts().to_vec();
                    if oid.len() < 5 {
                        oid.push(5);
                    }
                    let last = oid.last_mut().expect("it is not empty");
                    let step = steps[i % steps.len()];
                    *last = u32::try_from(i64::from(*last) + step).unwrap_or(0);
                    let value = if *exists {
                        Value::Counter32(1)
                    } else {
                        Value::NoSuchInstance
                    };
                    Varbind::new(Oid::new(oid), value)
                };
                response(0, 0, (0..*count).map(varbind).collect())
            }
        }
    }
}

#[test]
fn the_limits_of_an_agent_are_known_at_the_next_walk() {
    let table = counters(6, 48);
    for manner in [
        Manner {
            varbinds: 20,
            cuts: false,
            ..GOOD
        },
        Manner { varbinds: 20, ..GOOD },
        Manner {
            varbinds: 4,
            cuts: false,
            ..GOOD
        },
        Manner { octets: 500, ..GOOD },
        Manner {
            octets: 500,
            cuts: false,
            ..GOOD
        },
        Manner {
            knows_bulk: false,
            ..GOOD
        },
    ] {
        let known = Agent::default();
        for is_first in [true, false] {
            let mut incomplete = 0;
            walk(vec![as_they_come(6)], &known, false, 1_000, |request| {
                let pdu = honest(&table, &manner, request);
                let is_end = pdu.varbinds.iter().any(|varbind| !varbind.oid.starts_with(&ROOT));
                incomplete +=
                    i32::from(pdu.error_status != 0 || (pdu.varbinds.len() < request.varbinds() && !is_end));
                pdu
            })
            .unwrap();
            match is_first {
                true => assert!(incomplete > 0, "{manner:?}"),
                false => assert_eq!(incomplete, 0, "{manner:?}"),
            }
        }
    }
}

#[test]
fn the_end_of_a_table_is_not_mistaken_for_a_limit() {
    let table = counters(6, 48);
    let known = Agent::default();
    for _ in 0..3 {
        walk(vec![as_they_come(6)], &known, false, 20, |request| {
            honest(&table, &GOOD, request)
        })
        .unwrap();
    }
    let notes = known.notes();
    assert_eq!((notes.most_varbinds, notes.most_octets), (200, 1_400));
}

#[test]
fn an_agent_that_was_short_of_memory_is_asked_for_more_again() {
    let table = counters(6, 3_000);
    let known = Agent::default();
    let poor = Manner { varbinds: 7, ..GOOD };
    walk(
        vec![Group::new([root(1), root(2)], 100)],
        &known,
        false,
        100,
        |request| honest(&table, &poor, request),
    )
    .unwrap();
    assert_eq!(known.notes().most_varbinds, 7);
    let mut most = 0;
    walk(vec![as_they_come(6)], &known, false, 5_000, |request| {
        most = most.max(request.varbinds());
        honest(&table, &GOOD, request)
    })
    .unwrap();
    assert!(most > 40, "{most}");
}

#[test]
fn an_unreadable_row_does_not_end_other_columns() {
    let table = counters(3, 40);
    let bad = Oid::join(root(2).parts(), &[17]);
    let (mut columns, asked) = walk(vec![as_they_come(3)], &Agent::default(), false, 100, |request| {
        let pdu = honest(&table, &GOOD, request);
        match pdu.varbinds.iter().position(|varbind| varbind.oid == bad) {
            Some(at) => response(5, i32::try_from(at % request.oids.len() + 1).unwrap(), Vec::new()),
            None => pdu,
        }
    })
    .unwrap();
    let columns = columns.remove(0);
    assert_eq!(columns[0], of(&table, &root(1)));
    assert_eq!(columns[2], of(&table, &root(3)));
    assert_eq!(columns[1].rows.len(), 16);
    assert_eq!(columns[1].failure.as_deref(), Some("the agent answers genErr"));
    assert!(asked < 50, "{asked}");
}

#[test]
fn rows_without_values_end_at_the_limit() {
    let endless: [fn(u32) -> u32; 2] = [|at| at + 1, |at| if at == 3 { 2 } else { 3 }];
    for next in endless {
        let group = Group::new([root(1)], 50);
        let (columns, asked) = walk(vec![group], &Agent::default(), false, 1_000, |request| {
            let at = request.oids[0].below(root(1).parts()).map_or(0, |index| index[0]);
            let oid = Oid::join(root(1).parts(), &[next(at)]);
            response(0, 0, vec![Varbind::new(oid, Value::Unreadable(0x41))])
        })
        .unwrap();
        assert!(columns[0][0].rows.is_empty());
        assert!(columns[0][0].failure.is_some());
        assert!(asked < 60, "{asked}");
    }
}

#[test]
fn every_answer_fits_into_a_frame_from_the_first_on() {
    // The stations of a switch, whose indexes are a filtering database and six octets.
    let columns = [2, 3].map(|column| Oid::from([1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, column]));
    let mut table = BTreeMap::new();
    for station in 0..100 {
        let index = [1, 164, 187, 109, station * 37 % 256, station * 101 % 256, station];
        for column in &columns {
            table.insert(Oid::join(column.parts(), &index), Value::Integer(3));
        }
    }
    let manner = Manner {
        is_v1: false,
        knows_bulk: true,
        varbinds: usize::MAX,
        octets: usize::MAX,
        cuts: true,
        no_such_name: false,
    };
    let mut longest = 0;
    let group = Group::new(columns, 1_000).with_index_octets(12);
    let walked = walk(vec![group], &Agent::default(), false, 100, |request| {
        let pdu = honest(&table, &manner, request);
        longest = longest.max(octets(&pdu));
        pdu
    });
    let (found, requests) = walked.unwrap();
    assert_eq!(
        found[0].iter().map(|column| column.rows.len()).sum::<usize>(),
        200
    );
    assert!(longest <= 1_400, "{longest}");
    assert!(requests <= 6, "{requests}");
}
