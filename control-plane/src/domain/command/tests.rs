//! Whatever happens to an order, in whatever sequence, some things stay true.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    generation::Generation,
    ids::{CommandId, PluginId},
    protocol::command::{CommandKind, CommandPayload},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Change, InFlight, LIFETIME, Order, Report, ReportKind, Retries, Stage, State, backoff, dispatch, give_up_waiting,
    take_report,
};

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn new_order(max: u32) -> Order {
    Order {
        id: CommandId(uuid::Uuid::nil()),
        plugin_id: PluginId(uuid::Uuid::nil()),
        kind: CommandKind::Restart,
        payload: CommandPayload::default(),
        expires_at: START + LIFETIME,
        retries: Retries { count: 0, max },
        state: State::Pending {
            last: None,
            not_before: None,
        },
    }
}

#[derive(Debug, Clone)]
enum Event {
    Dispatch,
    Wait,
    Say(Report),
}

fn report() -> impl Strategy<Value = Report> {
    let kind = prop_oneof![
        Just(ReportKind::Reached(Stage::Acknowledged)),
        Just(ReportKind::Reached(Stage::Executing)),
        Just(ReportKind::Completed { result: json!({}) }),
        any::<bool>().prop_map(|retryable| ReportKind::Failed {
            error: "x: y".to_owned(),
            retryable,
            result: None
        }),
    ];
    let generation = prop_oneof![Just(None), (1_u64..6).prop_map(|n| Some(Generation(n)))];
    (generation, kind).prop_map(|(generation, kind)| Report { generation, kind })
}

fn events() -> impl Strategy<Value = Vec<(Event, i64)>> {
    let event = prop_oneof![Just(Event::Dispatch), Just(Event::Wait), report().prop_map(Event::Say)];
    prop::collection::vec((event, 0_i64..5000), 0..60)
}

fn is_ended(state: &State) -> bool {
    matches!(state, State::Completed { .. } | State::Failed { .. })
}

proptest! {
    #[test]
    fn an_end_is_an_end_and_tries_are_bounded(events in events(), max in 0_u32..4) {
        let mut order = new_order(max);
        let (mut now, mut generation, mut sent) = (START, Generation::ZERO, 0);
        for (event, seconds) in events {
            now += SignedDuration::from_secs(seconds);
            let change = match event {
                Event::Dispatch => {
                    let next = generation.next().unwrap();
                    dispatch(&order, next, now).inspect(|_| generation = next)
                }
                Event::Wait => Ok(give_up_waiting(&order, now, 7)),
                Event::Say(report) => take_report(&order, report, now, 7),
            };
            if let Ok(Change::To { state, retries }) = change {
                prop_assert!(!is_ended(&order.state), "{:?} became {state:?}", order.state);
                let handed_over = matches!(order.state, State::Pending { .. }) && matches!(state, State::InFlight(_));
                sent += u32::from(handed_over);
                order = Order { retries, state, ..order };
            }
            prop_assert!(order.retries.count <= max);
        }
        prop_assert!(sent <= max + 1, "handed over {sent} times with {max} retries");
    }

    #[test]
    fn a_report_twice_is_a_report_once(events in events(), last in report(), max in 0_u32..4) {
        let mut order = new_order(max);
        let mut now = START;
        for (generation, (event, seconds)) in (1..).zip(events) {
            now += SignedDuration::from_secs(seconds);
            let change = match event {
                Event::Dispatch => dispatch(&order, Generation(generation), now),
                Event::Wait => Ok(give_up_waiting(&order, now, 7)),
                Event::Say(report) => take_report(&order, report, now, 7),
            };
            if let Ok(Change::To { state, retries }) = change {
                order = Order { retries, state, ..order };
            }
        }
        if let Ok(Change::To { state, retries }) = take_report(&order, last.clone(), now, 7) {
            let once = Order { retries, state, ..order };
            let twice = match take_report(&once, last, now, 7) {
                Ok(Change::To { state, retries }) => Order { retries, state, ..once.clone() },
                Ok(Change::None) => once.clone(),
                Err(illegal) => return Err(TestCaseError::fail(format!("the repeat was refused: {illegal}"))),
            };
            prop_assert_eq!(once, twice);
        }
    }

    #[test]
    fn pauses_grow_and_stay_within_an_hour(count in 0_u32..100, random in any::<u32>()) {
        let pause = backoff(count, random);
        prop_assert!(pause >= SignedDuration::from_secs(15) && pause <= SignedDuration::from_hours(1));
        prop_assert!(backoff(count + 1, random) >= pause);
    }
}

#[test]
fn an_order_that_was_never_sent_can_not_have_been_carried_out() {
    let report = Report {
        generation: None,
        kind: ReportKind::Completed { result: Value::Null },
    };
    assert!(take_report(&new_order(3), report, START, 0).is_err());
}

#[test]
fn a_generation_that_does_not_grow_is_not_given_out() {
    let state = State::Pending {
        last: Some(Generation(5)),
        not_before: None,
    };
    let order = Order { state, ..new_order(3) };
    assert!(dispatch(&order, Generation(5), START).is_err());
    assert!(dispatch(&order, Generation(6), START).is_ok());
}

#[test]
fn progress_gives_an_order_more_time() {
    let flight = InFlight {
        generation: Generation(1),
        sent_at: START,
        stage: Stage::Executing,
        deadline: START,
    };
    let order = Order {
        state: State::InFlight(flight),
        ..new_order(3)
    };
    let report = Report {
        generation: None,
        kind: ReportKind::Reached(Stage::Executing),
    };
    let Ok(Change::To {
        state: State::InFlight(flight),
        ..
    }) = take_report(&order, report, START, 0)
    else {
        panic!("progress was not taken");
    };
    assert!(flight.deadline > START);
}
