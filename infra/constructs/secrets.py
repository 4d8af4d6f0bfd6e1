"""What only Stripe, an operator or one function knows. The deployment makes the places for it, and never sees it."""

import json
from collections.abc import Mapping

from aws_cdk import Acknowledgment, RemovalPolicy, Validations
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from billing.domain.signing import PLACEHOLDER

_BY_HAND = "Stripe makes it, and only Stripe can replace it: docs/operations.md, 'New keys from Stripe'."
_BY_COMMAND = "A key is published before it signs, which takes two steps 15 minutes apart: billing signing-key rotate."


class Secrets(Construct):
    """`stripe_key` holds `{"api_key": "sk_…"}`, `webhook_secrets` `{"secrets": ["whsec_…"]}`, two while they rotate,
    `signing_keys` what `billing.domain.token_keys` says.

    All begin empty, and what reads an empty one says what to put there; until then all of Stripe's deliveries are
    refused. The value is generated, once: CloudFormation would write a literal one again with any other change.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, key: kms.IKey, retain: bool) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self._key = key
        self._removal = RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY
        self.stripe_key = self._add("StripeKey", "stripe-api-key", {"api_key": ""}, _BY_HAND)
        self.webhook_secrets = self._add("WebhookSecrets", "stripe-webhook", {"secrets": []}, _BY_HAND)
        self.signing_keys = self._add("SigningKeys", "signing-keys", {"keys": []}, _BY_COMMAND)

    def _add(self, construct_id: str, name: str, empty: Mapping[str, object], why: str) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            construct_id,
            secret_name=f"{self._prefix}/{name}",
            description=f"Like {json.dumps(empty)}, but filled in: docs/operations.md",
            encryption_key=self._key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps(empty), generate_string_key=PLACEHOLDER
            ),
            removal_policy=self._removal,
        )
        Validations.of(secret).acknowledge(Acknowledgment(id="AwsSolutions-SMG4", reason=why))
        return secret
