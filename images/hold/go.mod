module atoll.dev/hold

go 1.19
