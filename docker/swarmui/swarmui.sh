#!/bin/bash
# SwarmUI behind the gate of the image: only the gate's own address reaches it. It starts while the models are still fetched.
set -euo pipefail
cd /opt/SwarmUI
. /venv/main/bin/activate
exec /opt/dotnet/dotnet src/bin/live_release/SwarmUI.dll --launch_mode none --host 127.0.0.1 --port 17865
