//! Random events, stored by two replicas at once, against a recount that follows the definitions
//! word by word and shares nothing with the code. Then: who may not be known any more is found
//! nowhere.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use wechat::event::{Event, EventKind, Scan};
use wechat::openid::OpenId;
use wechat::scene::{Kind, PermanentScene, Scene};
use wechat::ticket::{IssuedCode, Life};
use wxqr::app::Stores;
use wxqr::clock::{Clock, SystemClock};
use wxqr::codes::ReserveOutcome;
use wxqr::db::Error;
use wxqr::statistics::{Attribution, DatedEvent, Granularity, Numbers, NumbersFilter, Recorded};

use crate::support::app::APP_ID;
use crate::support::database::Database;
use crate::support::events::record_at_last;
use crate::support::eventually_async;
use crate::support::figures::{Figures, grouped, millis};

/// The events of one call.
const MAX_BATCH: usize = 100;

/// Midnight in China.
const START: &str = "2026-10-27T16:00:00Z";

/// How many events are sent, of which a fifth are repeats.
const EVENTS: usize = 20_000;

/// How many days the events are from. Few, so that many come again to a code; across the end of a
/// month.
const DAYS: i64 = 9;

/// How every openid of the test begins, and nothing else.
const PREFIX: &str = "oRECOUNT_";

/// The codes, in the order that decides between two follows in the same second: temporary before
/// permanent, numbers before texts, and those of which only a scene's text is known at last.
const CODES: [(&str, &str, &[&str]); 12] = [
    ("QR_SCENE", "2", &["temporary-2", "temporary-2-renewed"]),
    ("QR_SCENE", "10", &["temporary-10"]),
    ("QR_STR_SCENE", "10", &["temporary-text-10"]),
    ("QR_LIMIT_SCENE", "2", &["permanent-2"]),
    ("QR_LIMIT_SCENE", "3", &["permanent-3"]),
    ("QR_LIMIT_SCENE", "10", &["permanent-10"]),
    ("QR_LIMIT_STR_SCENE", "poster", &["permanent-poster"]),
    ("QR_LIMIT_STR_SCENE", "展会", &["permanent-fair"]),
    ("", "2", &["nobodys", ""]),
    ("", "gone", &["gone"]),
    ("", "poster", &["nobodys"]),
    ("", "展会", &[""]),
];

/// A code of a binding: its scene and its ticket.
const BINDING: (&str, &str) = ("wxqr.binding", "binding");

/// Numbers that are the same on every machine (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let rolled = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(rolled).unwrap() % sides
    }

    fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.roll(last + 1));
        }
    }
}

/// What happened, as its maker knows it.
#[derive(Debug, Clone)]
struct Fact {
    who: usize,
    at: Timestamp,
    kind: EventKind,
    key: String,
    /// Which of [`CODES`] was scanned.
    code: Option<usize>,
    scan: Option<Scan>,
}

impl Fact {
    fn random(dice: &mut Dice, people: usize) -> Self {
        let start: Timestamp = START.parse().unwrap();
        // Whole hours and few people, so that much happens in the same second.
        let hour = i64::try_from(dice.roll(usize::try_from(DAYS).unwrap() * 24)).unwrap();
        let mut fact = Self {
            who: dice.roll(people),
            at: start + SignedDuration::from_hours(hour),
            kind: EventKind::Subscribe,
            key: String::new(),
            code: None,
            scan: None,
        };
        match dice.roll(100) {
            0..30 => fact.came_by(dice, "qrscene_"),
            30..70 => {
                fact.kind = EventKind::Scan;
                fact.came_by(dice, "");
            }
            70..75 => "last_trade_no_4200001".clone_into(&mut fact.key),
            75..80 => fact.scanned_a_binding(),
            80..85 => {}
            _ => fact.kind = EventKind::Unsubscribe,
        }
        fact
    }

    fn came_by(&mut self, dice: &mut Dice, prefix: &str) {
        let code = dice.roll(CODES.len());
        let (_, scene, tickets) = CODES[code];
        self.key = format!("{prefix}{scene}");
        self.code = Some(code);
        self.scan = Some(Scan {
            scene: scene.to_owned(),
            ticket: tickets[dice.roll(tickets.len())].parse().ok(),
        });
    }

    fn scanned_a_binding(&mut self) {
        let (scene, ticket) = BINDING;
        self.key = format!("qrscene_{scene}");
        self.scan = Some(Scan {
            scene: scene.to_owned(),
            ticket: ticket.parse().ok(),
        });
    }

    /// The key of the deduplication.
    fn identity(&self) -> (usize, Timestamp, &'static str, &str) {
        (self.who, self.at, self.kind.as_str(), &self.key)
    }

    fn openid(&self) -> OpenId {
        openid(self.who).parse().unwrap()
    }

    fn day(&self) -> Date {
        Offset::constant(8).to_datetime(self.at).date()
    }

    fn dated(&self) -> DatedEvent {
        let event = Event {
            kind: self.kind,
            openid: self.openid(),
            created_at: self.at,
            key: self.key.clone(),
            scan: self.scan.clone(),
        };
        DatedEvent {
            event,
            day: self.day(),
        }
    }
}

/// Of different lengths.
fn openid(who: usize) -> String {
    format!("{PREFIX}{who:05}{}", "x".repeat(who % 15))
}

/// So many things that happened to so many people.
fn facts(dice: &mut Dice, count: usize, people: usize) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::with_capacity(count);
    let mut identities = HashSet::new();
    while facts.len() < count {
        let fact = Fact::random(dice, people);
        let (who, at, kind, key) = fact.identity();
        // Two events with the same key are one, the first to arrive.
        if identities.insert((who, at, kind, key.to_owned())) {
            facts.push(fact);
        }
    }
    facts
}

/// The definitions.
struct Recount<'a> {
    facts: &'a [Fact],
    of_person: BTreeMap<usize, Vec<&'a Fact>>,
}

impl<'a> Recount<'a> {
    fn of(facts: &'a [Fact]) -> Self {
        let mut of_person = BTreeMap::<_, Vec<_>>::new();
        for fact in facts {
            of_person.entry(fact.who).or_default().push(fact);
        }
        Self { facts, of_person }
    }

    fn numbers(&self, code: usize, days: &[Date]) -> Numbers {
        let scans: Vec<_> = self
            .facts
            .iter()
            .filter(|fact| fact.code == Some(code) && days.contains(&fact.day()))
            .collect();
        let people: HashSet<_> = scans.iter().map(|fact| fact.who).collect();
        let brought: Vec<_> = people
            .iter()
            .filter(|who| {
                let first = self.first(**who);
                first.is_some_and(|first| first.code == Some(code) && days.contains(&first.day()))
            })
            .collect();
        let lost = brought.iter().filter(|who| self.is_away(***who)).count();
        let [scans, people, new_followers, lost] =
            [scans.len(), people.len(), brought.len(), lost].map(|n| u64::try_from(n).unwrap());
        Numbers {
            scans,
            people,
            new_followers,
            lost,
        }
    }

    /// The earliest follow through a code.
    fn first(&self, who: usize) -> Option<&Fact> {
        let follows = self.of_person[&who]
            .iter()
            .filter(|fact| fact.kind == EventKind::Subscribe && fact.code.is_some());
        follows.copied().min_by_key(|fact| (fact.at, fact.code))
    }

    fn is_away(&self, who: usize) -> bool {
        let facts = &self.of_person[&who];
        let last = facts.iter().map(|fact| fact.at).max();
        facts
            .iter()
            .any(|fact| Some(fact.at) == last && fact.kind == EventKind::Unsubscribe)
    }

    /// Followers with an event since then.
    fn known_openids(&self, since: Timestamp) -> BTreeSet<String> {
        let heard = self
            .of_person
            .iter()
            .filter(|(_, facts)| facts.iter().any(|fact| fact.at >= since));
        let there = heard.filter(|(who, _)| !self.is_away(**who));
        there.map(|(who, _)| openid(*who)).collect()
    }
}

/// Codes whose tickets are known, and a binding.
async fn set_up(database: &Database, store: &Stores) {
    for (kind, scene, tickets) in CODES {
        let Ok(kind) = kind.parse::<Kind>() else {
            continue;
        };
        let scene = Scene::new(kind, scene).unwrap();
        for ticket in tickets {
            store_code(store, &scene, ticket).await;
        }
    }
    let (scene, ticket) = BINDING;
    for sql in [
        format!(
            "INSERT INTO binding (appid, id, scene, created_at, expires_at) VALUES ('{APP_ID}', 'b', '{scene}', 0, 0)"
        ),
        format!(
            "INSERT INTO ticket (appid, ticket, kind, scene) VALUES ('{APP_ID}', '{ticket}', 'QR_STR_SCENE', '{scene}')"
        ),
    ] {
        database.run(&sql).await;
    }
}

async fn store_code(store: &Stores, scene: &Scene, ticket: &str) {
    let life = match scene {
        Scene::Permanent(_) => Life::Permanent,
        Scene::Temporary(_) => Life::Temporary {
            minted_at: SystemClock.now(),
            asked: 60.try_into().unwrap(),
            granted: 60.try_into().unwrap(),
        },
    };
    let code = IssuedCode {
        ticket: ticket.parse().unwrap(),
        url: "http://weixin.qq.com/q/1".parse().unwrap(),
        life,
    };
    match scene {
        Scene::Permanent(scene) => confirm(store, scene, &code).await,
        Scene::Temporary(_) => store.codes.save(scene, &code).await.unwrap(),
    }
}

async fn confirm(store: &Stores, scene: &PermanentScene, code: &IssuedCode) {
    let Ok(ReserveOutcome::Granted(intent, _)) = store.codes.reserve(scene, 100, None).await else {
        unreachable!("the stock is whole");
    };
    store.codes.confirm(&intent, code).await.unwrap();
}

/// Stores batches one after another, each until it is stored. Returns the number of new events.
async fn deliver(store: Stores, batches: Vec<Vec<DatedEvent>>) -> usize {
    let mut new = 0;
    for batch in batches {
        let recorded = record_at_last(&store, &batch).await;
        let is_new = |recorded: &&Recorded| matches!(recorded, Recorded::New { .. });
        new += recorded.iter().filter(is_new).count();
    }
    new
}

/// Each fact, some of them more than once, in any order and in batches of any size, for two
/// replicas.
fn deliveries(dice: &mut Dice, facts: &[Fact], repeats: usize) -> [Vec<Vec<DatedEvent>>; 2] {
    let mut sent: Vec<_> = facts.iter().collect();
    sent.extend((0..repeats).map(|_| &facts[dice.roll(facts.len())]));
    dice.shuffle(&mut sent);
    // Most of what WeChat sends comes nearly in order.
    let late = sent.len() / 3;
    sent[late..].sort_by_key(|fact| fact.at);
    let mut sent = sent.into_iter().map(Fact::dated).peekable();
    let mut deliveries = [Vec::new(), Vec::new()];
    while sent.peek().is_some() {
        let size = 1 + dice.roll(MAX_BATCH);
        deliveries[dice.roll(2)].push(sent.by_ref().take(size).collect());
    }
    deliveries
}

fn code_of(attribution: &Attribution) -> usize {
    let (kind, scene) = match attribution {
        Attribution::Code(scene) => (scene.kind().action_name(), scene.value().to_string()),
        Attribution::Unknown(text) => ("", text.clone()),
    };
    let is_it = |(k, s, _): &(&str, &str, &[&str])| *k == kind && *s == scene;
    CODES.iter().position(is_it).unwrap()
}

/// The stored numbers of some days, by code and day.
async fn stored_numbers(
    store: &Stores,
    from: Date,
    to: Date,
    granularity: Granularity,
) -> BTreeMap<(usize, Option<Date>), Numbers> {
    let filter = NumbersFilter {
        scene: None,
        group: None,
        from,
        to,
        granularity,
    };
    let rows = store.events.numbers(&filter).await.unwrap().unwrap();
    let stored = rows.map(|row| ((code_of(&row.attribution), row.day), row.numbers));
    stored
        .filter(|(_, numbers)| *numbers != Numbers::default())
        .collect()
}

/// How many numbers were compared, and how many of them differ.
#[derive(Default)]
struct Comparison {
    compared: usize,
    different: usize,
}

impl Comparison {
    fn compare(
        &mut self,
        what: &str,
        stored: &BTreeMap<(usize, Option<Date>), Numbers>,
        want: &BTreeMap<(usize, Option<Date>), Numbers>,
    ) {
        let keys: BTreeSet<_> = stored.keys().chain(want.keys()).collect();
        for key in keys {
            let [stored, want] = [stored, want].map(|of| of.get(key).copied().unwrap_or_default());
            for (name, stored, want) in [
                ("scans", stored.scans, want.scans),
                ("people", stored.people, want.people),
                ("new_followers", stored.new_followers, want.new_followers),
                ("lost", stored.lost, want.lost),
            ] {
                self.compared += 1;
                if stored != want {
                    self.different += 1;
                    let (code, day) = key;
                    eprintln_once(
                        self.different,
                        &format!(
                            "{what}: {:?} {day:?} {name}: stored {stored}, counted {want}",
                            CODES[*code]
                        ),
                    );
                }
            }
        }
    }
}

/// The first few differences are enough.
#[expect(clippy::print_stderr, reason = "a failing test says why")]
fn eprintln_once(nth: usize, text: &str) {
    if nth <= 20 {
        eprintln!("{text}");
    }
}

async fn compare(store: &Stores, recount: &Recount<'_>, ranges: &[(i64, i64)]) -> Comparison {
    let start = recount.facts.iter().map(Fact::day).min().unwrap();
    let day = |n: i64| start + n.days();
    let mut comparison = Comparison::default();
    for &(from, to) in ranges {
        let days: Vec<_> = (from..=to).map(day).collect();
        let want: BTreeMap<_, _> = (0..CODES.len())
            .map(|code| ((code, None), recount.numbers(code, &days)))
            .collect();
        let stored = stored_numbers(store, day(from), day(to), Granularity::Total).await;
        comparison.compare(&format!("days {from} to {to}"), &stored, &want);
    }
    let mut want = BTreeMap::new();
    for code in 0..CODES.len() {
        for day in (0..DAYS).map(day) {
            want.insert((code, Some(day)), recount.numbers(code, &[day]));
        }
    }
    let stored = stored_numbers(store, day(0), day(DAYS - 1), Granularity::Day).await;
    comparison.compare("by day", &stored, &want);
    comparison
}

/// The content of all tables, as text.
async fn dump(database: &Database) -> String {
    let mut connection = database.lock(&[]).await;
    let mut dump = String::new();
    for table in tables(database, &mut connection).await {
        let whole_row = if database.is_postgres() {
            "CAST(t AS TEXT)".to_owned()
        } else {
            let columns = format!("SELECT name FROM pragma_table_info('{table}')");
            let columns = column(&mut connection, &columns).await.into_iter();
            let texts = columns.map(|name| format!("COALESCE(CAST({name} AS TEXT), '')"));
            texts.collect::<Vec<_>>().join(" || ' ' || ")
        };
        let rows = format!("SELECT {whole_row} FROM {table} AS t");
        for row in column(&mut connection, &rows).await {
            writeln!(dump, "{table} {row}").unwrap();
        }
    }
    dump
}

async fn tables(database: &Database, connection: &mut AnyConnection) -> Vec<String> {
    let sql = if database.is_postgres() {
        "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations'"
    };
    let tables = column(connection, sql).await;
    assert!(tables.len() > 10, "{tables:?}");
    tables
        .into_iter()
        .filter(|table| table != "_sqlx_migrations")
        .collect()
}

async fn column(connection: &mut AnyConnection, sql: &str) -> Vec<String> {
    let sql = AssertSqlSafe(sql.to_owned());
    let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The openids in some bytes, whole or in part.
fn openids_in(bytes: &[u8]) -> BTreeSet<String> {
    let is_of_an_openid = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let found = bytes
        .windows(PREFIX.len())
        .enumerate()
        .filter(|(_, window)| *window == PREFIX.as_bytes());
    found
        .map(|(at, _)| {
            let openid: Vec<_> = bytes[at..]
                .iter()
                .take_while(is_of_an_openid)
                .copied()
                .collect();
            String::from_utf8(openid).unwrap()
        })
        .collect()
}

/// Openids that a table has and should not, or that the files of SQLite have after the write-ahead
/// log is truncated.
async fn strangers(
    database: &Database,
    stores: &[Stores],
    known: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut found = openids_in(dump(database).await.as_bytes());
    assert!(found.is_superset(known), "who follows is known");
    if database.is_postgres() {
        return &found - known;
    }
    let log = database.file().with_extension("db-wal");
    eventually_async("the log is cut", || async {
        for store in stores {
            store.database.truncate_wal().await.unwrap();
        }
        std::fs::metadata(&log).unwrap().len() == 0
    })
    .await;
    for suffix in ["db", "db-wal", "db-shm"] {
        let file = database.file().with_extension(suffix);
        let bytes = std::fs::read(&file).unwrap();
        found.extend(openids_in(&bytes));
    }
    &found - known
}

async fn no_number_differs(database: Database) {
    let (facts_of, people) = (EVENTS * 4 / 5, EVENTS / 50);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let facts = facts(&mut dice, facts_of, people);
    let stores = [database.store().await, database.store().await];
    set_up(&database, &stores[0]).await;
    let engine = stores[0].database.to_string();
    let mut figures = Figures::of(format!(
        "{} random events on {engine}, repeats and late ones among them, stored by two replicas at once, against a naive recount",
        grouped(EVENTS)
    ));

    let [first, second] = deliveries(&mut dice, &facts, EVENTS - facts_of);
    let started = std::time::Instant::now();
    let [one, other] = [(0, first), (1, second)]
        .map(|(n, batches)| tokio::spawn(deliver(stores[n].clone(), batches)));
    let new = one.await.unwrap() + other.await.unwrap();
    figures.report("stored in", millis(started.elapsed()));
    figures.exactly("events that were new", facts.len(), new);

    let recount = Recount::of(&facts);
    let mut ranges = vec![(0, DAYS - 1), (0, 0), (-5, DAYS + 5)];
    ranges.extend((0..20).map(|_| {
        let side = usize::try_from(DAYS).unwrap();
        let [a, b] = [dice.roll(side), dice.roll(side)].map(|n| i64::try_from(n).unwrap());
        (a.min(b), a.max(b))
    }));
    let comparison = compare(&stores[1], &recount, &ranges).await;
    figures.report("numbers compared", comparison.compared);
    figures.exactly("numbers that differ", 0, comparison.different);
    assert_eq!(comparison.different, 0);
    assert_eq!(new, facts.len());

    let known = recount.known_openids(Timestamp::MIN);
    assert!(
        known.len() > people / 3 && known.len() < people,
        "{}",
        known.len()
    );
    let strangers = strangers(&database, &stores, &known).await;
    let places = if database.is_postgres() {
        "in any table"
    } else {
        "in any table, or anywhere in the files"
    };
    let what = format!("openids of people who are away, {places}");
    figures.exactly(&what, 0, strangers.len());
    assert_eq!(strangers, BTreeSet::new());

    forget_half(&database, &stores, &recount, &ranges).await;
}

/// Forgets some events, however busy the machine is.
async fn forget(store: &Stores, before: Timestamp) -> u64 {
    loop {
        match store.events.remove_old_events(before).await {
            Ok(forgotten) => return forgotten,
            Err(Error::Busy) => {}
            Err(error) => unreachable!("{error}"),
        }
    }
}

/// After the retention the numbers are what they were.
async fn forget_half(
    database: &Database,
    stores: &[Stores],
    recount: &Recount<'_>,
    ranges: &[(i64, i64)],
) {
    let start: Timestamp = START.parse().unwrap();
    let before = start + SignedDuration::from_hours(24 * DAYS - 12);
    let mut left = HashMap::new();
    for fact in recount.facts {
        *left.entry(fact.at >= before).or_insert(0_u64) += 1;
    }
    let forgotten = forget(&stores[0], before).await;
    assert!(forgotten >= 500, "{forgotten}");
    while forget(&stores[1], before).await > 0 {}
    let known = recount.known_openids(before);
    assert!(!known.is_empty() && known.len() < recount.known_openids(start).len());
    assert_eq!(strangers(database, stores, &known).await, BTreeSet::new());
    let rows = dump(database).await;
    let events = rows.lines().filter(|row| row.starts_with("event "));
    assert_eq!(u64::try_from(events.count()).unwrap(), left[&true]);
    let comparison = compare(&stores[0], recount, ranges).await;
    assert_eq!(comparison.different, 0, "after the retention");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_differs_from_a_recount_on_sqlite() {
    no_number_differs(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_differs_from_a_recount_on_postgresql() {
    if let Some(database) = Database::postgres().await {
        no_number_differs(database).await;
    }
}
