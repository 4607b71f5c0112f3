-- Expired codes are found by it, and now codes are counted by it too: without scenes and labels it is a twentieth of the indexes
-- of lists.
DROP INDEX code_by_expiry;
CREATE INDEX code_by_expiry ON code (appid, expires_at, kind, archived, group_name);
