"""Moto's server, with an IAM that is nearer to the real one once it is enforced.

Moto asks for one action of a request, takes no notice of conditions, and finds no resource of most requests to SQS. Here
a request needs what the service authorization reference says of S3, SQS and KMS: the source of a copy, tags that come
with an upload, keys of encrypted objects, and ListBucket for the difference between 404 and 403. Policies may name tags
of users, queues and requests, as variables and in conditions. Roles are given for web identity tokens whose claims the
trust policy names (signatures of tokens are not checked). Requests to IAM itself are the tests' own and always allowed.

Every decision becomes a line of decisions.jsonl beside this file: who asked for what, and by what it was allowed.
"""

import base64
import json
import re
import threading
from pathlib import Path
from urllib.parse import unquote

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import AccessDeniedError
from moto.core.responses import ActionResult
from moto.iam.access_control import PermissionResult, S3IAMRequest
from moto.iam.models import iam_backends
from moto.moto_api._internal import urls
from moto.s3.exceptions import MissingBucket, MissingKey, S3AccessDeniedError
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from moto.server import main
from moto.sqs.models import sqs_backends
from moto.sqs.responses import SQSResponse

by_moto = ActionAuthenticatorMixin._authenticate_and_authorize_action
decisions = Path(__file__).with_name("decisions.jsonl").open("a", buffering=1)
one_at_a_time = threading.Lock()


def authorize(response, request_class, resource="*", needed=None):
    """Moto knows who asks and checks the signature; what is needed, and who may, is decided here."""
    if ActionAuthenticatorMixin.request_count < settings.INITIAL_NO_AUTH_ACTION_COUNT:
        return by_moto(response, request_class, resource)
    if response.service_name == "iam" or is_nowhere(response):
        return
    if response._get_action() == "AssumeRoleWithWebIdentity":
        return trust(response)

    class Request(request_class):
        def check_action_permitted(self, resource):
            policies = [document(policy) for policy in self._access_key.collect_policies()]
            statements = [it for policy in policies for it in listed(policy["Statement"])]
            who = principal(self._access_key)
            for action, target, context in needed or needs(response, self._action, resource):
                allowed = decide(statements, action, target, who | context)
                told = {"who": self._access_key.arn, "action": action, "resource": target, "by": allowed}
                with one_at_a_time:
                    decisions.write(json.dumps(told) + "\n")
                if not allowed:
                    self._raise_access_denied()

    by_moto(response, Request, resource)


def principal(access_key):
    """The tags of who asks. A user's stand for those of a session of EKS Pod Identity."""
    name = getattr(access_key, "_owner_user_name", None)
    found = access_key.backend.get_user(name).tags if name else None
    return {f"aws:PrincipalTag/{tag['Key']}": tag["Value"] for tag in found or []}


def is_nowhere(response):
    """S3 tells everybody that there is no such bucket."""
    if response.service_name != "s3" or not response.bucket_name or response._get_action() == "CreateBucket":
        return False
    try:
        response.backend.get_bucket(response.bucket_name)
    except MissingBucket:
        return True
    return False


def needs(response, action, resource):
    """Actions, each with its resource and the keys of its conditions."""
    if response.service_name == "s3":
        return list(needs_of_s3(response, action, resource))
    if response.service_name == "sqs":
        return list(needs_of_sqs(response, action))
    return [(action, resource, {})]


def needs_of_s3(response, action, resource):
    """"Required permissions for Amazon S3 API operations", S3 user guide."""
    query, headers = response.querystring, response.headers
    method, is_object = response.method, "/" in resource
    reads = is_object and method in ("GET", "HEAD")
    if reads:
        action = read(query.get("versionId"), "tagging" in query)
    context = {"s3:prefix": query["prefix"][0]} if not is_object and "prefix" in query else {}
    yield action, resource, context
    if not is_object or action == "s3:AbortMultipartUpload":
        return
    if reads:
        if method == "GET" and "tagging" not in query:
            bucket, key = resource.removeprefix("arn:aws:s3:::").split("/", 1)
            yield from decryption(response, bucket, key, query.get("versionId", [None])[0])
        return
    tagged = "x-amz-tagging" in headers
    if source := headers.get("x-amz-copy-source"):
        source, _, version = source.lstrip("/").partition("?versionId=")
        bucket, key = unquote(source).split("/", 1)
        yield read(version, False), f"arn:aws:s3:::{bucket}/{key}", {}
        yield from decryption(response, bucket, key, version or None)
        replaces = headers.get("x-amz-tagging-directive") == "REPLACE" or "uploadId" in query
        if not replaces and tags(response, bucket, key, version or None):
            yield read(version, True), f"arn:aws:s3:::{bucket}/{key}", {}
            tagged = True
    if tagged:
        yield "s3:PutObjectTagging", resource, {}
    if key := headers.get("x-amz-server-side-encryption-aws-kms-key-id"):
        yield "kms:GenerateDataKey", key, {}
        if "uploads" in query:
            # The parts are read again when they are put together.
            yield "kms:Decrypt", key, {}


def read(version, tagging):
    return f"s3:GetObject{'Version' if version else ''}{'Tagging' if tagging else ''}"


def decryption(response, bucket, key, version):
    found = response.backend.get_object(bucket, key, version_id=version)
    if found is not None and getattr(found, "kms_key_id", None):
        yield "kms:Decrypt", found.kms_key_id, {}


def tags(response, bucket, key, version):
    found = response.backend.get_object(bucket, key, version_id=version)
    return found is not None and response.backend.get_object_tagging(found)["Tags"]


def needs_of_sqs(response, action):
    """"Amazon SQS API permissions: Actions and resource reference", SQS developer guide."""
    asked = json.loads(response.raw_body or "{}")
    arn = f"arn:aws:sqs:{response.region}:{response.current_account}:"
    queue = asked.get("QueueUrl", "").rsplit("/", 1)[-1] or asked.get("QueueName") or "*"
    resource = asked.get("SourceArn") or arn + queue
    known = response.sqs_backend.queues.get(resource.rsplit(":", 1)[-1])
    context = of_queue(known) | named("aws:RequestTag", asked.get("tags") or asked.get("Tags"))
    # Batches have no permission of their own.
    yield action.removesuffix("Batch"), resource, context
    if asked.get("tags"):
        yield "sqs:TagQueue", resource, context
    if action == "sqs:StartMessageMoveTask":
        for also in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            yield f"sqs:{also}", resource, context
        for queue in response.sqs_backend.queues.values():
            if (queue.redrive_policy or {}).get("deadLetterTargetArn") == resource:
                yield "sqs:SendMessage", queue.queue_arn, of_queue(queue)


def of_queue(queue):
    """"ABAC condition keys for Amazon SQS", SQS developer guide. A queue that is not there has no tags."""
    return named("aws:ResourceTag", queue.tags if queue else None)


def named(key, tags):
    return {f"{key}/{name}": value for name, value in (tags or {}).items()}


def decide(statements, action, resource, context):
    """Sid, action and resource that allow it; nothing where none does, or one denies it."""
    allowed = None
    for statement in statements:
        actions = [it for it in listed(statement["Action"]) if matches(it.lower(), action.lower(), {})]
        resources = [it for it in listed(statement["Resource"]) if matches(it, resource, context)]
        if actions and resources and holds(statement.get("Condition", {}), context):
            if statement["Effect"] == "Deny":
                return None
            allowed = allowed or [statement.get("Sid"), actions[0], resources[0]]
    return allowed


def holds(conditions, context):
    for operator, keys in conditions.items():
        comparison = operator.removesuffix("IfExists")
        if comparison not in ("StringEquals", "StringLike"):
            raise NotImplementedError(operator)
        for key, expected in keys.items():
            found = context.get(key)
            if found is None:
                if not operator.endswith("IfExists"):
                    return False
            elif comparison == "StringEquals":
                if not set(listed(found)) & {filled(text, context) for text in listed(expected)}:
                    return False
            elif not any(matches(pattern, found, context) for pattern in listed(expected)):
                return False
    return True


VARIABLE = r"\$\{([^}]+)\}"


def filled(text, context):
    """The text with its variables; none if one of them has no value, so that nothing equals it."""
    if any(name not in context for name in re.findall(VARIABLE, text)):
        return None
    return re.sub(VARIABLE, lambda found: context[found[1]], text)


def matches(pattern, text, context):
    """Wildcards are those of the pattern: what a variable stands for is taken as it is."""
    if filled(pattern, context) is None:
        return False
    # Text and names of variables in turn.
    parts = re.split(VARIABLE, pattern)
    parts[::2] = [re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in parts[::2]]
    parts[1::2] = [re.escape(context[name]) for name in parts[1::2]]
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def trust(response):
    """AssumeRoleWithWebIdentity, which nobody signs: the claims of the token are those that the role trusts."""
    sent = {name: response.querystring[name][0] for name in ("RoleArn", "WebIdentityToken")}
    payload = sent["WebIdentityToken"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    issuer = claims["iss"].removeprefix("https://")
    context = {f"{issuer}:{name}": claims[name] for name in ("aud", "sub")}
    role = iam_backends[response.current_account]["aws"].get_role_by_arn(sent["RoleArn"])
    for statement in listed(document(role.assume_role_policy_document)["Statement"]):
        trusted = statement["Principal"].get("Federated", "").endswith(f":oidc-provider/{issuer}")
        if trusted and statement["Effect"] == "Allow" and holds(statement.get("Condition", {}), context):
            return
    raise AccessDeniedError(user_arn=claims["sub"], action="sts:AssumeRoleWithWebIdentity")


def document(policy):
    if isinstance(policy, dict):
        policy = policy["policy_document"]
    return json.loads(policy if isinstance(policy, str) else policy.document)


def listed(value):
    return value if isinstance(value, list) else [value]


def tells_who_may_list(method):
    """That an object is not there is told to those who may list the bucket ("GetObject", S3 API reference)."""

    def answer(response, *args, **more):
        def may_list():
            bucket = f"arn:aws:s3:::{response.bucket_name}"
            authorize(response, S3IAMRequest, bucket, [("s3:ListBucket", bucket, {})])

        try:
            answered = method(response, *args, **more)
        except MissingKey:
            may_list()
            raise
        if answered[0] == 404:
            may_list()
        return answered

    return answer


def denies_with_a_document(method):
    """Moto answers a denial of a bucket policy without a body, S3 with AccessDenied ("Error responses", S3 API reference)."""

    def permission(bucket, action, resource):
        found = method(bucket, action, resource)
        if found == PermissionResult.DENIED:
            raise S3AccessDeniedError()
        return found

    return permission


def start_message_move_task(response):
    """Moto has none. Here dead letters go back to where they came from at once."""
    backend = response.sqs_backend
    dead = backend.get_queue(response._get_param("SourceArn").rsplit(":", 1)[-1])
    for queue in backend.list_dead_letter_source_queues(dead.name):
        while dead._messages:
            backend.send_message(queue.name, dead._messages.pop().body)
    return ActionResult({"TaskHandle": "done"})


def end_visibility(request, full_url, headers):
    """Makes all received messages of a queue visible again. The body of the request is the name of the queue."""
    for backends in sqs_backends.values():
        for backend in backends.values():
            if queue := backend.queues.get(request.data.decode()):
                for message in queue._messages:
                    message.visible_at = 0.0
                return 200, {}, ""
    return 404, {}, "no such queue"


urls.url_paths["{0}/moto-api/end-visibility"] = end_visibility
ActionAuthenticatorMixin._authenticate_and_authorize_action = authorize
SQSResponse.start_message_move_task = start_message_move_task
FakeBucket.get_permission = denies_with_a_document(FakeBucket.get_permission)
S3Response._key_response_get = tells_who_may_list(S3Response._key_response_get)
S3Response.head_object = tells_who_may_list(S3Response.head_object)

if __name__ == "__main__":
    main()
