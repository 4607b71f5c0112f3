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
    SELECT appid, ticket, kind, scene, expires_at + 5184000000 FROM code WHERE ticket IS NOT NULL;

-- A follower, past or present. `person` is a keyed hash of the openid, which itself stands here and nowhere else, and only
-- while the follower follows. What the latest event says holds; `first_...` is the code that brought the person first.
CREATE TABLE person (
    appid TEXT NOT NULL,
    person TEXT NOT NULL,
    openid TEXT,
    seen_at BIGINT NOT NULL,
    away BIGINT NOT NULL,
    first_at BIGINT,
    first_event TEXT,
    first_kind TEXT,
    first_scene TEXT,
    first_day TEXT,
    PRIMARY KEY (appid, person)
);

CREATE INDEX person_with_openid ON person (appid, seen_at) WHERE openid IS NOT NULL;

-- What happened, each once: `id` is a keyed hash of all that tells a repeat. `seq` is the order in which events were stored.
-- `kind` and `scene` are the code's; a kind of '' is a scene whose ticket is not known; NULL: no code, or one of a binding.
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

CREATE UNIQUE INDEX event_by_seq ON event (appid, seq);
CREATE INDEX event_by_time ON event (appid, at);
CREATE INDEX event_by_scene ON event (appid, scene, seq);
CREATE INDEX event_by_person ON event (appid, person, kind, scene, day);

-- The last `seq`. Who writes events holds this row first, so that they are stored one batch after another.
CREATE TABLE event_log (
    appid TEXT NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL
);

-- Numbers of a code and a day that can be added up over days.
CREATE TABLE tally (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    day TEXT NOT NULL,
    scans BIGINT NOT NULL,
    new_followers BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    PRIMARY KEY (appid, kind, scene, day)
);

CREATE INDEX tally_by_day ON tally (appid, day);

-- How many people scanned a code on a day, by the day before it on which the same people had scanned it last ('': never). The
-- people of a day are the sum; the distinct people from a day on are those whose earlier day lies before it.
CREATE TABLE audience (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    day TEXT NOT NULL,
    since TEXT NOT NULL,
    people BIGINT NOT NULL,
    PRIMARY KEY (appid, kind, scene, day, since)
);

CREATE INDEX audience_by_day ON audience (appid, day);

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
