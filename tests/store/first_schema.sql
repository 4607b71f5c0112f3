-- A database as the first version of the tables left it, for both engines: migration 1 as it ran, and rows of every table.
-- The upgrade of it is tested, so this file never changes. For PostgreSQL the test writes X'…' as '\x…'.
-- What the store is: which WeChat its codes come from.
CREATE TABLE about (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row for each (account, kind, scene): the last temporary ticket, or the permanent one for ever.
-- A permanent row without a ticket is an intent: a mint whose outcome is not known. It counts against the stock.
-- Instants are unix milliseconds, lives are seconds.
CREATE TABLE code (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    ticket TEXT,
    url TEXT,
    minted_at BIGINT NOT NULL,
    asked BIGINT,
    granted BIGINT,
    expires_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (appid, kind, scene)
);

CREATE INDEX code_by_expiry ON code (appid, expires_at);

-- What the owner calls a scene. It outlives the ticket.
CREATE TABLE channel (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    label TEXT,
    group_name TEXT,
    PRIMARY KEY (appid, kind, scene)
);

-- How many of the account's permanent codes are used up, intents included.
CREATE TABLE stock (
    appid TEXT NOT NULL PRIMARY KEY,
    used BIGINT NOT NULL
);

-- Who may do something that only one of the replicas should do, and until when.
CREATE TABLE lease (
    appid TEXT NOT NULL,
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    held_until BIGINT NOT NULL,
    PRIMARY KEY (appid, name)
);

-- Numbers of a day in China: mints, and those that visitors caused.
CREATE TABLE daily (
    appid TEXT NOT NULL,
    name TEXT NOT NULL,
    day TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (appid, name, day)
);

-- Calls of one kind are stopped until the next probe.
CREATE TABLE stop (
    appid TEXT NOT NULL,
    api TEXT NOT NULL,
    errcode BIGINT NOT NULL,
    next_probe BIGINT NOT NULL,
    PRIMARY KEY (appid, api)
);

-- The forced refreshes of a stable token.
CREATE TABLE forced_refresh (
    appid TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (appid, at)
);

-- The token of `WXQR_TOKEN_SOURCE=classic`, which replicas must share. A stable token is never written down.
CREATE TABLE classic_token (
    appid TEXT NOT NULL PRIMARY KEY,
    token TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

INSERT INTO about (name, value) VALUES ('upstream', '127.0.0.1');

-- Two temporary codes that have ended, a permanent code, and a mint whose outcome was never known.
INSERT INTO code (appid, kind, scene, ticket, url, minted_at, asked, granted, expires_at, attempts) VALUES
    ('wx0123456789abcdef', 'QR_SCENE', '7', 'ticket-of-seven', 'http://weixin.qq.com/q/seven', 1763700000000, 7200, 7200, 1763707200000, 1),
    ('wx0123456789abcdef', 'QR_STR_SCENE', 'table-7', 'ticket-of-the-table', 'http://weixin.qq.com/q/table', 1763700000000, 2592000, 2592000, 1766292000000, 1),
    ('wx0123456789abcdef', 'QR_LIMIT_STR_SCENE', 'door', 'ticket-of-the-door', 'http://weixin.qq.com/q/door', 1763700000000, NULL, NULL, NULL, 2),
    ('wx0123456789abcdef', 'QR_LIMIT_SCENE', '42', NULL, NULL, 1763700000000, NULL, NULL, NULL, 1);

INSERT INTO channel (appid, kind, scene, label, group_name) VALUES
    ('wx0123456789abcdef', 'QR_LIMIT_STR_SCENE', 'door', '正门 Door', '店铺'),
    ('wx0123456789abcdef', 'QR_SCENE', '7', 'Seven', NULL);

INSERT INTO stock (appid, used) VALUES ('wx0123456789abcdef', 2);
INSERT INTO lease (appid, name, holder, held_until) VALUES ('wx0123456789abcdef', 'token', 'replica-1', 1763700000000);
INSERT INTO daily (appid, name, day, value) VALUES ('wx0123456789abcdef', 'mints', '2025-11-21', 4);
INSERT INTO stop (appid, api, errcode, next_probe) VALUES ('wx0123456789abcdef', 'create', 45009, 1763700000000);
INSERT INTO forced_refresh (appid, at) VALUES ('wx0123456789abcdef', 1763700000000);
INSERT INTO classic_token (appid, token, expires_at) VALUES ('wx0123456789abcdef', 'a-token-that-has-ended', 1763700000000);

CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
);

INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES
    (1, 'codes', '2025-11-21 04:00:00', TRUE,
    X'56f538f7a178e124618169cd5c9d4dfe4f3576babbc7ef5b43ac8a8caaa860ba292e2a62d98fbe61962a23253bd9b80f', 1000000);
