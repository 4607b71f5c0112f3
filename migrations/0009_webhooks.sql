-- How far events are delivered by webhooks, and how it goes. One row for each account. `delivered_seq` is the place of the last
-- event that the receiver has, `batch_end` that of the batch that is being sent, or sent again; NULL between batches.
-- `holder` sends it, and no other replica, until `held_until`, which is by the database's clock.
CREATE TABLE webhook (
    appid TEXT NOT NULL PRIMARY KEY,
    delivered_seq BIGINT NOT NULL,
    batch_end BIGINT,
    holder TEXT NOT NULL,
    held_until BIGINT NOT NULL,
    delivered_at BIGINT,
    -- Failures since the last delivery; the last one, and when the next try is.
    failures BIGINT NOT NULL,
    failed_at BIGINT,
    failure TEXT,
    failure_status BIGINT,
    next_try_at BIGINT NOT NULL
);
