-- How many calls a record stands for: more than one where calls that came to nothing were summed.
ALTER TABLE cdr ADD COLUMN IF NOT EXISTS call_count UInt64 DEFAULT 1;
