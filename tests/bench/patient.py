"""The check's function, but for its patience with the table: on a busy machine a read may take longer than 0.15 s."""

from functions.entitlements.handler import build

PATIENCE = 10.0

lambda_handler = build(read_timeout=PATIENCE)
