//! Whatever people say, in whatever sequence, some things stay true.

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
const PEOPLE: [&str; 4] = ["ada", "bob", "eve", "joe"];
const ROLES: [OpsRole; 2] = [OpsRole::PayAdmin, OpsRole::ComplianceOps];

fn request(people: u32, one_of_each: &[OpsRole], wanted_by: Option<&str>) -> Request {
    Request {
        standing: Standing::Pending,
        quorum: Quorum {
            people,
            one_of_each: one_of_each.iter().copied().collect(),
            signatures: 0,
        },
        release: Some(Digest::of(b"release")),
        content: Digest::of(b"content"),
        wanted_by: wanted_by.map(str::to_owned),
        expires_at: START + jiff::SignedDuration::from_secs(100),
        yes: Vec::new(),
    }
}

fn yes(person: &str, roles: &[OpsRole]) -> Yes {
    Yes {
        person: person.to_owned(),
        roles: roles.to_vec(),
        at: START,
        signed_by: None,
    }
}

#[derive(Debug, Clone)]
enum Event {
    Yes(usize, Vec<OpsRole>, bool),
    No(bool),
    Ask(u32),
    End(Standing),
    Wait(i64),
}

fn any_event() -> impl Strategy<Value = Event> {
    let roles = prop::collection::vec(prop::sample::select(ROLES.to_vec()), 0..3);
    prop_oneof![
        8 => (0_usize..4, roles, prop::bool::weighted(0.1)).prop_map(|(who, roles, other)| Event::Yes(who, roles, other)),
        1 => any::<bool>().prop_map(Event::No),
        2 => (1_u32..5).prop_map(Event::Ask),
        1 => prop::sample::select(STANDINGS.to_vec()).prop_map(Event::End),
        2 => (0_i64..40).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn enough_is_enough_distinct_people_and_an_end_is_an_end(
        people in 1_u32..4, both in any::<bool>(), wanted in prop::option::of(0_usize..4),
        events in prop::collection::vec(any_event(), 0..40),
    ) {
        let wanted_by = wanted.map(|who| PEOPLE[who]);
        let mut asked = request(people, if both { &ROLES } else { &[] }, wanted_by);
        let (mut now, mut ended) = (START, None);
        for event in events {
            let was = asked.clone();
            let content = |other: bool| if other { Digest::of(b"other") } else { asked.content };
            match event {
                Event::Yes(who, roles, other) => {
                    let content = content(other);
                    let word = Yes { person: PEOPLE[who].to_owned(), roles: roles.clone(), at: now, signed_by: None };
                    if asked.say_yes(word, &content).is_ok() {
                        prop_assert!(!other && !roles.is_empty() && now < was.expires_at);
                        prop_assert_eq!(was.standing, Standing::Pending);
                        prop_assert_ne!(Some(PEOPLE[who]), wanted_by);
                        prop_assert!(was.yes.iter().all(|said| said.person != PEOPLE[who]));
                    } else {
                        prop_assert_eq!(&asked, &was);
                    }
                }
                Event::No(other) => {
                    let content = content(other);
                    if asked.say_no(&ROLES, &content, now).is_ok() {
                        prop_assert_eq!(was.standing, Standing::Pending);
                    }
                }
                Event::Ask(people) => {
                    let wanted = Quorum { people, ..asked.quorum.clone() };
                    asked.ask(&wanted, was.expires_at);
                }
                Event::End(standing) => { asked.end(standing); }
                Event::Wait(seconds) => now += jiff::SignedDuration::from_secs(seconds),
            }
            if asked.standing == Standing::Approved {
                let distinct: BTreeSet<&str> = asked.yes.iter().map(|said| said.person.as_str()).collect();
                prop_assert!(distinct.len() >= asked.quorum.people as usize && asked.is_met());
                prop_assert_eq!(asked.missing(), Missing::default());
            }
            if asked.standing == Standing::Pending {
                prop_assert!(!asked.is_met() && asked.missing() != Missing::default());
            }
            if let Some(end) = ended {
                prop_assert_eq!(asked.standing, end);
            }
            if !asked.standing.is_live() {
                ended = Some(asked.standing);
            }
        }
    }

    #[test]
    fn whoever_is_missing_completes_it(people in 1_u32..4, both in any::<bool>(), said in prop::collection::vec(any_event(), 0..4)) {
        let mut asked = request(people, if both { &ROLES } else { &[] }, None);
        for event in said {
            if let Event::Yes(who, roles, _) = event {
                let content = asked.content;
                let _counts_or_not = asked.say_yes(yes(PEOPLE[who], &roles), &content);
            }
        }
        let missing = asked.missing();
        let mut roles: Vec<OpsRole> = missing.one_of_each.iter().copied().collect();
        roles.resize(missing.people as usize, OpsRole::PayAdmin);
        for (number, role) in roles.into_iter().enumerate() {
            prop_assert_eq!(asked.standing, Standing::Pending);
            let content = asked.content;
            asked.say_yes(yes(&format!("new {number}"), &[role]), &content).unwrap();
        }
        prop_assert_eq!(asked.standing, Standing::Approved);
    }
}

#[test]
fn nobody_approves_twice_or_their_own_wish() {
    let mut asked = request(2, &ROLES, Some("ada"));
    let content = asked.content;
    assert_eq!(asked.say_yes(yes("ada", &ROLES), &content), Err(Refused::Own));
    assert_eq!(asked.say_yes(yes("bob", &ROLES), &content), Ok(Standing::Pending));
    assert_eq!(asked.say_yes(yes("bob", &ROLES), &content), Err(Refused::Twice));
    assert_eq!(
        asked.say_yes(yes("eve", &[OpsRole::ComplianceOps]), &content),
        Ok(Standing::Approved)
    );
    assert_eq!(
        asked.say_yes(yes("joe", &ROLES), &content),
        Err(Refused::Over(Standing::Approved))
    );
}

#[test]
fn a_no_ends_it_whoever_says_it() {
    let mut asked = request(2, &ROLES, Some("ada"));
    let content = asked.content;
    asked.say_yes(yes("bob", &ROLES), &content).unwrap();
    asked.say_no(&[OpsRole::PayAdmin], &content, START).unwrap();
    assert_eq!(
        asked.say_yes(yes("eve", &ROLES), &content),
        Err(Refused::Over(Standing::Rejected))
    );
}

#[test]
fn what_was_not_looked_at_is_not_approved() {
    let mut asked = request(1, &[], None);
    assert_eq!(
        asked.say_yes(yes("ada", &ROLES), &Digest::of(b"other")),
        Err(Refused::Changed)
    );
    let content = asked.content;
    let late = Yes {
        at: asked.expires_at,
        ..yes("ada", &ROLES)
    };
    assert_eq!(asked.say_yes(late, &content), Err(Refused::TooLate));
    assert_eq!(asked.say_yes(yes("ada", &[]), &content), Err(Refused::NoRole));
}

#[test]
fn signatures_take_keys_of_their_own_and_may_come_later() {
    let mut asked = request(2, &[], None);
    asked.quorum.signatures = 2;
    let content = asked.content;
    let signed = |person: &str, key: &str| Yes {
        signed_by: Some(key.to_owned()),
        ..yes(person, &ROLES)
    };
    assert_eq!(asked.say_yes(signed("ada", "k1"), &content), Ok(Standing::Pending));
    assert_eq!(asked.say_yes(signed("bob", "k1"), &content), Err(Refused::SameKey));
    assert_eq!(asked.say_yes(yes("bob", &ROLES), &content), Ok(Standing::Pending));
    assert_eq!((asked.missing().people, asked.missing().signatures), (0, 1));
    assert_eq!(asked.say_yes(yes("bob", &ROLES), &content), Err(Refused::Twice));
    assert_eq!(asked.say_yes(signed("bob", "k2"), &content), Ok(Standing::Approved));
}
