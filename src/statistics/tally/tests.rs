use wechat::scene::Kind;

use super::*;

/// What the database would keep: the sum of all changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Kept {
    people: HashMap<Person, FollowerState>,
    openids: BTreeMap<Person, Option<OpenId>>,
    days: HashMap<(Person, Attribution), BTreeSet<Date>>,
    tallies: BTreeMap<(Attribution, Date), Tally>,
    returning: BTreeMap<(Attribution, Date, Date), i64>,
}

impl Kept {
    fn count(&mut self, batch: &[AttributedEvent<'_>]) {
        let mut count = DeltaBuilder::from(PriorState {
            people: self.people.clone(),
            days: self.days.clone(),
        });
        for event in batch {
            count.add(event);
            if let Some(code) = event.code.clone() {
                let days = self.days.entry((event.person.clone(), code));
                days.or_default().insert(event.day);
            }
        }
        self.apply(count.finish());
    }

    fn apply(&mut self, changes: StatisticsDelta) {
        for (person, state) in changes.states {
            let first_touch = self.people.get(&person).and_then(first_touch_of).cloned();
            let follower = FollowerState {
                seen_at: state.seen_at,
                away: state.openid.is_none(),
                first_touch,
            };
            self.people.insert(person.clone(), follower);
            self.openids.insert(person, state.openid);
        }
        for (person, first_touch) in changes.first_touches {
            self.people.get_mut(&person).unwrap().first_touch = Some(first_touch);
        }
        for (key, change) in changes.tallies {
            let tally = self.tallies.entry(key).or_default();
            tally.scans += change.scans;
            tally.people += change.people;
            tally.new_followers += change.new_followers;
            tally.lost += change.lost;
        }
        for (key, change) in changes.returning {
            *self.returning.entry(key).or_default() += change;
        }
        self.returning.retain(|_, people| *people != 0);
    }

    /// Scans, people, new followers and lost ones of a code on a day.
    fn day(&self, code: &str, on: i8) -> [i64; 4] {
        let tally = self.tallies.get(&(attribution(code), day(on)));
        let tally = tally.copied().unwrap_or_default();
        [tally.scans, tally.people, tally.new_followers, tally.lost]
    }

    /// Distinct persons of a code over some days.
    fn people(&self, code: &str, from: i8, to: i8) -> i64 {
        let (code, range) = (attribution(code), day(from)..=day(to));
        let tallies = self.tallies.iter();
        let each_day: i64 = tallies
            .filter(|((of, on), _)| *of == code && range.contains(on))
            .map(|(_, tally)| tally.people)
            .sum();
        let returning = self.returning.iter();
        let came_back: i64 = returning
            .filter(|((of, on, since), _)| *of == code && range.contains(on) && *since >= day(from))
            .map(|(_, people)| people)
            .sum();
        each_day - came_back
    }
}

fn day(on: i8) -> Date {
    jiff::civil::date(2026, 11, on)
}

/// A number is that of a permanent code, a text begins with `?` if its ticket is not known.
fn attribution(code: &str) -> Attribution {
    if let Some(text) = code.strip_prefix('?') {
        return Attribution::Unknown(text.to_owned());
    }
    Attribution::Code(Scene::new(Kind::QrLimitScene, code).unwrap())
}

fn openid(name: &str) -> &'static OpenId {
    Box::leak(Box::new(name.parse().unwrap()))
}

fn person(name: &str) -> Person {
    Person::from_text(name.to_owned())
}

/// At an hour of the month: who, which event, by which code; no code is `""`.
fn attributed(hour: i64, who: &str, kind: EventKind, code: &str) -> AttributedEvent<'static> {
    let first: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    AttributedEvent {
        person: person(who),
        openid: openid(who),
        kind,
        at: first + jiff::SignedDuration::from_hours(hour),
        day: day(i8::try_from(hour / 24 + 1).unwrap()),
        code: (!code.is_empty()).then(|| attribution(code)),
    }
}

fn follow(hour: i64, who: &str, code: &str) -> AttributedEvent<'static> {
    attributed(hour, who, EventKind::Subscribe, code)
}

fn scan(hour: i64, who: &str, code: &str) -> AttributedEvent<'static> {
    attributed(hour, who, EventKind::Scan, code)
}

fn leave(hour: i64, who: &str) -> AttributedEvent<'static> {
    attributed(hour, who, EventKind::Unsubscribe, "")
}

fn counted(events: &[AttributedEvent<'_>]) -> Kept {
    let mut kept = Kept::default();
    kept.count(events);
    kept
}

/// Every order of so many things.
fn orders(of: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..of {
        let longer = |order: Vec<usize>| {
            (0..=order.len()).map(move |at| {
                let mut order = order.clone();
                order.insert(at, next);
                order
            })
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders
}

#[test]
fn numbers_follow_their_definitions() {
    let events = [
        follow(1, "a", "1"),
        scan(2, "a", "1"),
        scan(3, "a", "2"),
        follow(4, "b", "?poster"),
        follow(5, "c", ""),
        scan(25, "a", "1"),
        scan(26, "c", "1"),
        leave(27, "a"),
        follow(49, "a", "2"),
        leave(50, "b"),
    ];
    let kept = counted(&events);
    for (code, on, want) in [
        ("1", 1, [2, 1, 1, 0]),
        ("1", 2, [2, 2, 0, 0]),
        ("2", 1, [1, 1, 0, 0]),
        ("2", 3, [1, 1, 0, 0]),
        ("?poster", 1, [1, 1, 1, 1]),
        ("2", 2, [0; 4]),
    ] {
        assert_eq!(kept.day(code, on), want, "code {code} on day {on}");
    }
    for (code, from, to, want) in [
        ("1", 1, 2, 2),
        ("1", 1, 1, 1),
        ("1", 2, 3, 2),
        ("2", 1, 3, 1),
        ("2", 2, 3, 1),
        ("2", 2, 2, 0),
        ("?poster", 1, 30, 1),
    ] {
        assert_eq!(
            kept.people(code, from, to),
            want,
            "code {code}, days {from} to {to}"
        );
    }
}

#[test]
fn no_order_of_arrival_changes_a_number() {
    let events = [
        follow(1, "a", "1"),
        leave(30, "a"),
        follow(60, "a", "2"),
        scan(61, "a", "1"),
        scan(85, "a", "1"),
        leave(90, "a"),
        scan(5, "b", "1"),
    ];
    let want = counted(&events);
    assert_eq!(want.day("1", 1), [2, 2, 1, 1]);
    assert_eq!([want.people("1", 1, 4), want.people("1", 3, 4)], [2, 1]);
    for order in orders(events.len()) {
        let arriving: Vec<_> = order.iter().map(|n| events[*n].clone()).collect();
        for split in [0, 1, 3, 6] {
            let mut kept = Kept::default();
            let (first, rest) = arriving.split_at(split);
            kept.count(first);
            kept.count(rest);
            kept.tallies.retain(|_, tally| *tally != Tally::default());
            assert_eq!(kept, want, "order {order:?}, split at {split}");
        }
    }
}

#[test]
fn the_latest_event_decides_the_follower_state() {
    let (there, away) = (false, true);
    for (events, want) in [
        (vec![follow(1, "a", "1")], there),
        (vec![follow(1, "a", "1"), leave(2, "a")], away),
        (vec![leave(2, "a"), follow(1, "a", "1")], away),
        (vec![leave(2, "a"), scan(3, "a", "1")], there),
        (vec![scan(3, "a", "1"), leave(2, "a")], there),
        (vec![leave(2, "a"), follow(2, "a", "1")], away),
        (vec![follow(2, "a", "1"), leave(2, "a")], away),
        (
            vec![leave(2, "a"), follow(3, "a", ""), leave(2, "a")],
            there,
        ),
    ] {
        let kept = counted(&events);
        assert_eq!(kept.people[&person("a")].away, want, "{events:?}");
        let held = (want == there).then(|| openid("a").clone());
        assert_eq!(kept.openids[&person("a")], held, "{events:?}");
    }
}

#[test]
fn first_touch_is_the_earliest_follow_through_a_code() {
    for (events, brought_by) in [
        (vec![follow(30, "a", "2"), follow(1, "a", "1")], "1"),
        (vec![follow(1, "a", "2"), follow(30, "a", "1")], "2"),
        (vec![follow(1, "a", "2"), follow(1, "a", "1")], "1"),
        (vec![follow(1, "a", "?1"), follow(1, "a", "2")], "2"),
        (vec![follow(1, "a", "?1"), follow(2, "a", "2")], "?1"),
        (
            vec![follow(0, "a", ""), scan(1, "a", "1"), follow(9, "a", "2")],
            "2",
        ),
    ] {
        let kept = counted(&events);
        let first_touch = kept.people[&person("a")].first_touch.as_ref().unwrap();
        assert_eq!(first_touch.code, attribution(brought_by), "{events:?}");
        let new: i64 = kept.tallies.values().map(|tally| tally.new_followers).sum();
        assert_eq!(new, 1, "{events:?}");
        let brought = kept.tallies[&(first_touch.code.clone(), first_touch.day)];
        assert_eq!(brought.new_followers, 1, "{events:?}");
    }
}

#[test]
fn what_changes_nothing_is_not_written() {
    let mut kept = counted(&[follow(5, "a", "1"), scan(50, "a", "1")]);
    let mut count = DeltaBuilder::from(PriorState {
        people: std::mem::take(&mut kept.people),
        days: std::mem::take(&mut kept.days),
    });
    count.add(&scan(49, "a", "1"));
    count.add(&leave(1, "a"));
    let changes = count.finish();
    assert_eq!((changes.states.len(), changes.first_touches.len()), (0, 0));
    assert_eq!(changes.returning.len(), 0);
    let scanned = Tally {
        scans: 1,
        ..Tally::default()
    };
    let tallies: Vec<_> = changes.tallies.into_values().collect();
    assert_eq!(tallies, [scanned]);
}
