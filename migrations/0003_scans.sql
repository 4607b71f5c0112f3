-- Which code a ticket is of. It outlives the code's row, which holds the last ticket only, because scans arrive late.
CREATE TABLE ticket (
    appid TEXT NOT NULL,
    ticket TEXT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    -- Unix milliseconds; NULL: for ever, as a permanent code lives.
    kept_until BIGINT,
    PRIMARY KEY (appid, ticket)
);

CREATE INDEX ticket_by_end ON ticket (appid, kept_until);

-- 60 days in milliseconds.
INSERT INTO ticket (appid, ticket, kind, scene, kept_until)
    SELECT appid, ticket, kind, scene, expires_at + 5184000000 FROM code WHERE ticket IS NOT NULL
    ON CONFLICT DO NOTHING;

-- A follower, past or present, as of the latest event. `person` is a keyed hash of the openid, which itself stands here and
-- nowhere else, and only while `held`. It is padded with dots, and overwritten by dots when it is erased: a row that never
-- changes its size is overwritten in its place, and leaves no copy in the file. Nothing is ever deleted from this table.
CREATE TABLE follower (
    appid TEXT NOT NULL,
    person TEXT NOT NULL,
    openid TEXT NOT NULL,
    held BIGINT NOT NULL,
    away BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (appid, person)
);

CREATE INDEX follower_with_openid ON follower (appid, seen_at) WHERE held = 1;

-- The code that brought a person first, and when.
CREATE TABLE newcomer (
    appid TEXT NOT NULL,
    person TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    day TEXT NOT NULL,
    PRIMARY KEY (appid, person)
);

-- What happened, each once: `id` is a keyed hash of all that tells a repeat. `seq` is the order in which events were stored.
-- `kind` and `scene` are the code's; a kind of '' is a scene whose ticket is not known; NULL: no code, or one of a binding.
-- A `binding` of '' is one that is forgotten.
CREATE TABLE event (
    appid TEXT NOT NULL,
    id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    day TEXT NOT NULL,
    event TEXT NOT NULL,
    person TEXT NOT NULL,
    kind TEXT,
    scene TEXT,
    binding TEXT,
    PRIMARY KEY (appid, id)
);

-- Lists are without the events of bindings, which may be most of all.
CREATE INDEX event_by_seq ON event (appid, seq, at) WHERE binding IS NULL;
CREATE INDEX event_by_time ON event (appid, at, seq) WHERE binding IS NULL;
CREATE INDEX event_by_scene_and_seq ON event (appid, scene, seq, at) WHERE scene IS NOT NULL;
CREATE INDEX event_by_scene_and_time ON event (appid, scene, at, seq) WHERE scene IS NOT NULL;
CREATE INDEX event_of_binding ON event (appid, at) WHERE binding IS NOT NULL;
CREATE INDEX event_by_person ON event (appid, person, kind, scene, day) WHERE scene IS NOT NULL;

-- The last `seq`. Who writes events holds this row first, so that they are stored one batch after another.
CREATE TABLE event_log (
    appid TEXT NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL
);

-- The last day on which a person scanned a code, of the events that are forgotten.
CREATE TABLE last_visit (
    appid TEXT NOT NULL,
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    day TEXT NOT NULL,
    PRIMARY KEY (appid, person, kind, scene)
);

-- Numbers of a code and a day. All but `people` can be added up over days.
CREATE TABLE tally (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    day TEXT NOT NULL,
    scans BIGINT NOT NULL,
    people BIGINT NOT NULL,
    new_followers BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    PRIMARY KEY (appid, kind, scene, day)
);

CREATE INDEX tally_by_day ON tally (appid, day);

-- How many people scanned a code on a day and had scanned it before, by the day on which they had done so last. Over several
-- days they are counted once: the people of each day, less those who came back since the first day.
CREATE TABLE revisit (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    day TEXT NOT NULL,
    since TEXT NOT NULL,
    people BIGINT NOT NULL,
    PRIMARY KEY (appid, kind, scene, day, since)
);

-- All that statistics need, in the order of days: this is the table of which they read the most.
CREATE INDEX revisit_by_day ON revisit (appid, day, kind, scene, since, people);

-- A code that somebody scans to sign in. `scene` is a text that cannot be guessed, of a temporary code.
CREATE TABLE binding (
    appid TEXT NOT NULL,
    id TEXT NOT NULL,
    scene TEXT NOT NULL,
    context TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    person TEXT,
    scanned_at BIGINT,
    claimed_at BIGINT,
    PRIMARY KEY (appid, id)
);

CREATE UNIQUE INDEX binding_by_scene ON binding (appid, scene);
CREATE INDEX binding_by_end ON binding (appid, expires_at);
