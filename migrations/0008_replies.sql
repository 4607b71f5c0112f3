-- What a follower reads after a scan, as JSON: {"text": …} or {"news": {…}}. It is not copied into the code's row: no list
-- searches or orders by it.
ALTER TABLE channel ADD COLUMN reply TEXT;
ALTER TABLE binding ADD COLUMN reply TEXT;
