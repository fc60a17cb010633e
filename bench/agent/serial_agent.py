"""The base line: an agent that does one thing after another, as the guide's sample agent does, in a page of code."""

from __future__ import annotations

import base64
import json
import os
import uuid

import boto3
import httpx


def main() -> None:
    """Receive, generate, store, notify, acknowledge, repeat."""
    sqs, sns, s3 = boto3.client("sqs"), boto3.client("sns"), boto3.client("s3")
    bucket, topic, queue = os.environ["S3_BUCKET"], os.environ["SNS_TOPIC_ARN"], os.environ["SQS_QUEUE_URL"]
    runtime = httpx.Client(base_url=os.environ["API_BASE_URL"], timeout=600)
    while True:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1, WaitTimeSeconds=20)
        for message in received.get("Messages", []):
            task = json.loads(json.loads(message["Body"])["Message"])
            task_id, prefix = task["metadata"]["id"], task["metadata"]["prefix"]
            answer = runtime.post("/sdapi/v1/txt2img", json=task["content"]).json()
            stem = f"{prefix}/{task_id}/{task_id}-{uuid.uuid4().hex[:4]}"
            urls = []
            for number, picture in enumerate(answer["images"], start=1):
                key = f"{stem}-{number}.png"
                s3.put_object(Bucket=bucket, Key=key, Body=base64.b64decode(picture), ContentType="image/png")
                urls.append(f"s3://{bucket}/{key}")
            s3.put_object(Bucket=bucket, Key=f"{stem}.out", Body=json.dumps({**answer, "images": urls}))
            notification = {"id": task_id, "result": True, "status": "completed", "runtime": os.environ["RUNTIME_NAME"]}
            notification |= {"image_url": urls, "output_url": f"s3://{bucket}/{stem}.out"}
            sns.publish(TopicArn=topic, Message=json.dumps(notification))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    main()
