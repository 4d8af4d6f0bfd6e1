-- What operators ask of the inbox: newest first, by type, by object, and what may be replayed in the order of Stripe's
-- clock. Lists by status use inbox_by_status, those by customer inbox_by_customer.

CREATE INDEX inbox_by_received ON inbox (received_at, event_id);
CREATE INDEX inbox_by_type ON inbox (type, received_at, event_id);
CREATE INDEX inbox_by_object ON inbox (object_id, received_at, event_id) WHERE object_id IS NOT NULL;

-- Small: nearly every event is applied. What names no time of its own (it could not be read) comes first.
CREATE INDEX inbox_to_replay ON inbox (status, (COALESCE(created, 0)), event_id) WHERE status <> 'applied';
