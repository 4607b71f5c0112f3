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
