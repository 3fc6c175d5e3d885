echo "the page says: $(curl -sS http://127.0.0.2:18602/)"
echo "the records say: $(curl -sS http://127.0.0.1:18601/)"
echo "sending to the page: $(curl -sS http://127.0.0.1:18601/ | curl -sS -d @- http://127.0.0.2:18602/collect)"
sleep 3600
