module go-actor

go 1.24
