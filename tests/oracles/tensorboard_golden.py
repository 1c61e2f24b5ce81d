"""Writes tests/golden/train/tensorboard.events with TensorBoard's own record writer and protobuf classes.

The wall time is 1e-300 in every event (0 would not be stored): the test masks it.
    pip install tensorboard "protobuf<5"
    python tests/oracles/tensorboard_golden.py
"""
import os
import tensorboard
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

out = os.path.join(os.path.dirname(__file__), "..", "golden", "train", "tensorboard.events")
os.makedirs(os.path.dirname(out), exist_ok=True)
with open(out, "wb") as file:
    writer = RecordWriter(file)
    events = [event_pb2.Event(wall_time=1e-300, file_version="brain.Event:2")]
    for step, tag, value in [(1, "loss", 2.5), (300, "loss/text", -1e-3), (5000000000, "lr", 3e-5)]:
        summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
        events.append(event_pb2.Event(wall_time=1e-300, step=step, summary=summary))
    for event in events:
        writer.write(event.SerializeToString())
print("tensorboard", tensorboard.__version__, os.path.getsize(out), "bytes")
