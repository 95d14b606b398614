-- Events that could not be processed: kept for people, so that one bad event blocks none of the others.
CREATE TABLE money.rejected_event (
  message_id text NOT NULL,
  position integer NOT NULL,            -- index in the message; -1: the whole message
  reason text NOT NULL,
  payload bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (message_id, position)    -- a redelivery is rejected once
);
GRANT SELECT ON money.rejected_event TO tandem_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON money.rejected_event TO tandem_rating;
