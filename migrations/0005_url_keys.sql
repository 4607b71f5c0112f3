-- What a phone opens, however the url of a code is spelt: see `CodeUrl::key`. Whose it is is asked before a code that was minted
-- elsewhere is recorded. Not unique: older versions did not look.
ALTER TABLE code ADD COLUMN url_key TEXT;
UPDATE code SET url_key = rtrim(replace(replace(url, 'https://', ''), 'http://', ''), '/') WHERE url IS NOT NULL;
DROP INDEX permanent_code_by_url;
CREATE INDEX code_by_url_key ON code (appid, url_key);
